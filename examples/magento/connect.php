<?php
// Connects to RabbitMQ: AMQP_URL says where, as amqp://user:password@host:5672/vhost. A shop has the same in app/etc/env.php, under queue.amqp.

declare(strict_types=1);

use PhpAmqpLib\Connection\AMQPStreamConnection;

$composer = __DIR__ . '/vendor/autoload.php';
require_once is_file($composer) ? $composer : 'PhpAmqpLib/autoload.php'; // the latter is Debian's php-amqplib

function connect(): AMQPStreamConnection
{
    $url = parse_url(getenv('AMQP_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/');
    if ($url === false || !isset($url['host'])) {
        fwrite(STDERR, "AMQP_URL is not a URL: write it as amqp://user:password@host:5672/vhost\n");
        exit(2);
    }
    $vhost = rawurldecode(ltrim($url['path'] ?? '', '/'));
    return new AMQPStreamConnection(
        $url['host'],
        $url['port'] ?? 5672,
        rawurldecode($url['user'] ?? 'guest'),
        rawurldecode($url['pass'] ?? 'guest'),
        $vhost === '' ? '/' : $vhost
    );
}
