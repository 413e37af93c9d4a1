<?php
// Declares what `bin/magento setup:upgrade` declares for the module: the exchange of the shop, the queue of the triggers, and the way between them.
// A shop has them already; this is for trying things without one.

declare(strict_types=1);

use PhpAmqpLib\Exchange\AMQPExchangeType;

require __DIR__ . '/connect.php';

$connection = connect();
$channel = $connection->channel();
$channel->exchange_declare('magento', AMQPExchangeType::TOPIC, false, true, false);
$channel->queue_declare('webhook.trigger', false, true, false, false);
$channel->queue_bind('webhook.trigger', 'magento', 'webhook.trigger');
$connection->close();
