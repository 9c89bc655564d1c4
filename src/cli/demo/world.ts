/** Where the story of the demo happens: one server in this process (`embedded`), or many processes (`fleet`). */
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import type { Page } from './page.ts'

/** The servers that a device uses. */
export interface DeviceServers {
  relayUrl: string
  notifyUrl: string
  keysUrl: string
}

/** A server in a process of its own. */
export interface Member {
  readonly url: string
  readonly pid: number
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>
  /** After `kill`: another process on the same port. */
  startAgain(): Promise<void>
}

export interface World {
  readonly project: { readonly id: string; readonly secret: string }
  readonly phone: DeviceServers
  readonly laptop: DeviceServers
  /** The dapp uses them in turns. */
  readonly notifyUrls: readonly string[]
  /** What a world of several processes survives. */
  readonly mortal?: { readonly laptopRelay: Member; readonly notify: Member }
}

/** Prints what it starts, and gives it into the charge of `owned` at once. The signal ends its waiting. */
export type MakeWorld = (deps: { owned: ReleaseStack; page: Page; signal: AbortSignal }) => Promise<World>
