package sdk

import "context"

// Health tells the daemon whether the plugin can work: f is called now and then, and its error is shown to operators. A plugin that
// doesn't answer before ctx ends counts as stuck, and is started again. Without Health, answering is being well.
func Health(f func(ctx context.Context) error) Option {
	return optionFunc(func(p *Plugin) { p.health = f })
}
