/**
 * What the notify server asks of its connection to a relay. The real one is `relay/client`, over a socket, also when
 * the relay lives in the same process; or `relay/client/http-client`, to which messages come as events at a webhook.
 */
export interface RelayMessage {
  topic: string
  message: string
  /** When the relay took it, unix ms. */
  publishedAt: number
  tag: number
  attestation: string
}

export interface RelayLink {
  readonly connected: boolean
  ready(): Promise<void>
  /** Resolves when the relay has acknowledged it; `ttl` in seconds. Calls are published in their order. */
  publish(message: {
    topic: string
    message: string
    tag: number
    ttl: number
    prompt?: boolean
  }): Promise<void>
  /** `exclusive`: nobody else is to read what is published there. A relay may know nothing of it. */
  subscribe(topics: readonly string[], how?: { exclusive?: boolean }): Promise<void>
  unsubscribe(topics: readonly string[]): Promise<void>
  onConnectionChange(listener: () => void): Disposable
  /** Only where messages come by webhook: takes one that came; resolves when its effect is durable. */
  arrived?(message: RelayMessage): Promise<void>
}

/**
 * Opens the connection. What it is given for messages resolves when their effect is durable: then, and only then, the
 * relay is told that they arrived.
 */
export type ConnectRelay = (
  onMessage: (message: RelayMessage) => Promise<void>,
) => RelayLink & AsyncDisposable
