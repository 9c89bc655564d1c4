/** The providers of all projects: one for each set of credentials, made when it is first needed. */

import type { Clock } from '../../platform/runtime/clock.ts'
import type { Projects } from '../projects.ts'
import { type ApnsUrls, createApns } from '../providers/apns.ts'
import { createFcm } from '../providers/fcm.ts'
import type { Provider } from '../providers/provider.ts'
import type { ProviderRequests } from '../providers/request.ts'
import type { ProviderName, PushProject } from '../store.ts'

/** Providers with credentials that are remembered; the connections of one that is forgotten end. */
const MAX_PROVIDERS = 500

/** A provider, and which credentials it has; none has an empty id. */
export interface ReadyProvider {
  provider: Provider
  credentialsId: string
}

export interface Providers extends AsyncDisposable {
  /** Undefined where the project has no credentials for it, or they were refused. */
  of(project: PushProject, name: ProviderName): ReadyProvider | undefined
}

/** Of tests: takes everything. */
const noop: Provider = {
  maxBytes: Number.MAX_SAFE_INTEGER,
  sizeOf: () => 0,
  send: async () => ({ kind: 'accepted' }),
}

export const createProviders = (
  deps: {
    projects: Pick<Projects, 'open'>
    webPush: Provider
    requests: ProviderRequests
    clock: Clock
  },
  { ca, apnsUrls, fcmUrl }: { ca?: string | undefined; apnsUrls?: ApnsUrls; fcmUrl?: string | undefined },
): Providers => {
  const { projects, webPush, requests, clock } = deps
  const made = new Map<string, { provider: Provider; end: () => PromiseLike<void> }>()

  const make = (opened: NonNullable<ReturnType<Projects['open']>>) => {
    const { credentials } = opened
    if (credentials.provider === 'fcm') {
      const provider = createFcm({ clock, requests, url: fcmUrl }, credentials.fcm)
      return { provider, end: async () => {} }
    }
    const provider = createApns({ clock, ca, urls: apnsUrls }, credentials.apns)
    return { provider, end: () => provider[Symbol.asyncDispose]() }
  }

  const forgetOldest = (): void => {
    for (const [id, { end }] of made) {
      if (made.size <= MAX_PROVIDERS) break
      made.delete(id)
      void end()
    }
  }

  return {
    of(project, name) {
      if (name === 'noop') return { provider: noop, credentialsId: '' }
      if (name === 'webpush' || name === 'unifiedpush') return { provider: webPush, credentialsId: '' }
      const stored = project.credentials[name]
      if (!stored || stored.stopped) return undefined
      const id = `${project.id} ${stored.id}`
      let ready = made.get(id)
      if (!ready) {
        const opened = projects.open(project, name)
        if (!opened) return undefined
        ready = make(opened)
        made.set(id, ready)
        forgetOldest()
      }
      return { provider: ready.provider, credentialsId: stored.id }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...made.values()].map(({ end }) => end()))
    },
  }
}
