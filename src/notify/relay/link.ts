/**
 * The notify server's connection to a relay, as an interface. It is `relay/in-process` where the relay runs in the same
 * process, and `relay/client`, over a socket, elsewhere; or `relay/client/http-client`, whose messages come as events at a
 * webhook.
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
  /** `exclusive`: no other client is to read the topics. Other relays may not know this. */
  subscribe(topics: readonly string[], how?: { exclusive?: boolean }): Promise<void>
  unsubscribe(topics: readonly string[]): Promise<void>
  onConnectionChange(listener: () => void): Disposable
  /** Only where messages come by webhook: handles one; resolves when its effect is durable. */
  arrived?(message: RelayMessage): Promise<void>
}

/**
 * Opens the connection. `onMessage` resolves when the effect of a message is durable; only then it is acknowledged to the
 * relay.
 */
export type ConnectRelay = (
  onMessage: (message: RelayMessage) => Promise<void>,
) => RelayLink & AsyncDisposable
