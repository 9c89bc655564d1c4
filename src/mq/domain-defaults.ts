/** What a domain of the message queues allows unless its settings say otherwise. */
export const MQ_DOMAIN_DEFAULTS = {
  enabled: true,
  /** Of one message. */
  messageBytes: 10 * 1024,
  /** Messages of one queue. */
  queueLength: 10_000,
  ttlDays: 30,
  /** How long a reader waits for a message, ms. */
  connectionTimeout: 10_000,
} as const
