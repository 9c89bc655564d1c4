/** One client of something that carries messages: the load is the same for all of them. */
export interface Link {
  subscribe(topic: string): Promise<unknown>
  /** Resolves when the other end answers for the message. */
  publish(topic: string, message: string): Promise<unknown>
  close(): Promise<void>
}

/** `name`: of a client. The same one, again, gets what came for it meanwhile. */
export type Connect = (url: string, name: string, onMessage: (message: string) => void) => Promise<Link>
