import { randomUUID } from 'node:crypto'
import { startWorld } from '../support/world.ts'

/**
 * The system that the published clients are tried against, and the one place that says where its relays are: clients
 * spread over `relayUrl(0)`, `relayUrl(1)`, …
 */
export interface System extends AsyncDisposable {
  /** Base of HTTP: keys, notify API, notify-config, did documents. */
  readonly url: string
  relayUrl(index: number): string
  /** What the clients give as their project id; the relay lets everyone in. */
  readonly projectId: string
  /** Names that notify-client has fixed in its package → where they must lead. */
  readonly fixedNames: Record<string, string>
  /** Enrols an app in a project of its own, with notification types of these names. */
  enrol(domain: string, types: string[]): Promise<DappApp>
  /** Stops everything and starts it again on the same data and the same port. */
  restart(): Promise<void>
}

/** A dapp's backend: it knows its project secret and uses the published HTTP API. */
export interface DappApp {
  domain: string
  name: string
  /** Type name → type id. */
  types: Record<string, string>
  /** Resolves with `{sent, failed, not_found}`. */
  notify(request: {
    notification: { type: string; title: string; body: string; icon?: string; url?: string }
    accounts: string[]
  }): Promise<unknown>
}

export const startSystem = async (): Promise<System> => {
  const world = await startWorld()
  const relays = [world.wsUrl]

  const call = async (method: string, path: string, token: string, body: unknown): Promise<unknown> => {
    const answer = await world.http(method, path, { token, body })
    if (answer.status !== 200) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    }
    return answer.body
  }

  return {
    url: world.url,
    relayUrl: (index) => relays[index % relays.length] ?? world.wsUrl,
    projectId: world.project.id,
    fixedNames: {
      'notify.walletconnect.com': world.url,
      'explorer-api.walletconnect.com': world.url,
    },
    async enrol(domain, names) {
      const added = await world.addApp(domain, {
        project: randomUUID(),
        types: names.map((name) => ({ name })),
      })
      const { projectId, types } = added
      const secret = added.secret ?? ''
      const name = `The app at ${domain}`
      await call('PUT', `/v1/${projectId}/apps/${encodeURIComponent(domain)}`, secret, { name })
      return {
        domain,
        name,
        types: Object.fromEntries(types.map((type) => [type.name, type.id])),
        notify: (request) => call('POST', `/${projectId}/notify`, secret, request),
      }
    },
    restart: () => world.restart(),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}
