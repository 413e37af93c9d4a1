<?php
// Publishes an event the way a Magento shop does:
//
//   php publish.php sales.order.created '{"id":1}'
//
// It goes one step further than a shop and waits until RabbitMQ has confirmed that it keeps the message.

declare(strict_types=1);

use PhpAmqpLib\Message\AMQPMessage;

require __DIR__ . '/connect.php';

[, $event, $arguments] = $argv + [null, null, '{}'];
if ($event === null || json_decode($arguments) === null) {
    fwrite(STDERR, "usage: php publish.php EVENT ['{\"argument\":1}']\n");
    exit(2);
}

// What PublisherInterface::publish('webhook.trigger', [$event, $arguments]) puts on the wire. The id is what Postrider knows the event by: the same
// message published again is the same event.
$message = new AMQPMessage(json_encode([$event, $arguments]), [
    'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
    'message_id' => bin2hex(random_bytes(16)),
]);

$connection = connect();
$channel = $connection->channel();
$failure = null;
$channel->set_return_listener(function ($code, $text) use (&$failure) {
    $failure = "nothing is bound to the exchange magento with the key webhook.trigger ($text): start Postrider, or run setup.php";
});
$channel->set_nack_handler(function () use (&$failure) {
    $failure = 'RabbitMQ refused the message: its log says why';
});
$channel->confirm_select();
$channel->basic_publish($message, 'magento', 'webhook.trigger', true);
$channel->wait_for_pending_acks_returns(10);
$connection->close();

if ($failure !== null) {
    fwrite(STDERR, "$failure\n");
    exit(1);
}
echo $message->get('message_id'), "\n";
