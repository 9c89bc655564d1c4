/** What an operator asks of push: how projects and their providers are, whether credentials are good, and a push to try. */
import type { Clock } from '../platform/runtime/clock.ts'
import { MINUTE_MS } from '../platform/units.ts'
import type { Providers } from './delivery/providers.ts'
import type { Projects } from './projects.ts'
import type { PushBody, SendOutcome } from './providers/provider.ts'
import { type Address, PROVIDER_NAMES, type ProviderName, type PushProject, type PushStore } from './store.ts'

export interface ProviderStatus {
  provider: ProviderName
  /** `stopped`: it refused the credentials. `absent`: it needs some, and there are none. */
  state: 'ready' | 'stopped' | 'absent'
  reason: string | null
  since: number | null
  /** Devices for which something waits. */
  waiting: number
  /** What may be shown of the credentials. */
  credentials: Record<string, string>
}

export interface ProjectStatus {
  id: string
  isOpen: boolean
  devices: number
  providers: ProviderStatus[]
}

export interface CredentialsCheck {
  project: string
  provider: ProviderName
  isGood: boolean
  detail: string
}

export interface TriedPush {
  deviceId: string
  project: string
  provider: ProviderName
  outcome: SendOutcome['kind']
  reason: string | null
}

export interface PushOperator {
  status(): Promise<ProjectStatus[]>
  /** Shows credentials to their providers, with a device that there is not. */
  check(): Promise<CredentialsCheck[]>
  /** Pushes to all devices of the client, at once. */
  test(clientId: string): Promise<TriedPush[]>
}

const NEEDS_CREDENTIALS = ['apns', 'fcm'] as const
const needsCredentials = (provider: ProviderName): boolean => provider === 'apns' || provider === 'fcm'
/** Of a device that no provider knows. */
const NOBODY = '0'.repeat(64)
const nobodyAt = (provider: (typeof NEEDS_CREDENTIALS)[number]): Address =>
  provider === 'apns' ? { provider, token: NOBODY, isSandbox: false } : { provider, token: NOBODY }
const PATIENCE_MS = 15_000
const TEST_BODY: PushBody = { form: 'message', message: { topic: NOBODY, id: NOBODY, tag: 0 } }
const TEST_TOGETHER: PushBody = { form: 'together', messages: [], more: 0 }

interface OperatorDeps {
  store: Pick<PushStore, 'countDevices' | 'countWaiting' | 'devices'>
  projects: Pick<Projects, 'list' | 'find'>
  providers: Pick<Providers, 'of'>
  clock: Clock
}

const sendTo = async (
  { providers, clock }: OperatorDeps,
  project: PushProject,
  address: Address,
  body: PushBody,
): Promise<SendOutcome | undefined> => {
  const ready = providers.of(project, address.provider)
  const message = { body, expiresAt: clock.now() + MINUTE_MS, isUrgent: true }
  return ready?.provider.send({ address, projectId: project.id }, message, AbortSignal.timeout(PATIENCE_MS))
}

const providerOf = async (
  { store }: OperatorDeps,
  project: PushProject,
  provider: ProviderName,
): Promise<ProviderStatus> => {
  const stored = project.credentials[provider]
  const waiting = await store.countWaiting({ projectId: project.id, provider })
  const isAbsent = needsCredentials(provider) && !stored
  const stopped = stored?.stopped
  return {
    provider,
    state: isAbsent ? 'absent' : stopped ? 'stopped' : 'ready',
    reason: stopped?.reason ?? null,
    since: stopped?.at ?? null,
    waiting,
    credentials: stored?.shown ?? {},
  }
}

const verdictOn = (outcome: SendOutcome | undefined, stopped: string | undefined) => {
  if (!outcome) return { isGood: false, detail: `refused: ${stopped ?? ''}` }
  if (outcome.kind === 'refused' && outcome.of !== 'message')
    return { isGood: false, detail: `refused: ${outcome.reason}` }
  if (outcome.kind === 'later') return { isGood: false, detail: `not reached: ${outcome.reason}` }
  return { isGood: true, detail: 'taken' }
}

export const createPushOperator = (deps: OperatorDeps): PushOperator => {
  const { store, projects, clock } = deps
  return {
    status: async () =>
      Promise.all(
        (await projects.list()).map(async (project) => ({
          id: project.id,
          isOpen: project.isOpen,
          devices: await store.countDevices(project.id, clock.now()),
          providers: await Promise.all(
            PROVIDER_NAMES.filter((name) => name !== 'noop').map((name) => providerOf(deps, project, name)),
          ),
        })),
      ),
    async check() {
      const found: CredentialsCheck[] = []
      for (const project of await projects.list()) {
        for (const provider of NEEDS_CREDENTIALS) {
          const stored = project.credentials[provider]
          if (!stored) continue
          const outcome = await sendTo(deps, project, nobodyAt(provider), TEST_BODY)
          const verdict = verdictOn(outcome, stored.stopped?.reason)
          found.push({ project: project.id, provider, ...verdict })
        }
      }
      return found
    },
    async test(clientId) {
      const devices = await store.devices([clientId], clock.now())
      return Promise.all(
        devices.map(async (device): Promise<TriedPush> => {
          const { id: deviceId, projectId, address } = device
          const about = { deviceId, project: projectId, provider: address.provider }
          const project = await projects.find(projectId)
          const body = 'endpoint' in address ? TEST_TOGETHER : TEST_BODY
          const outcome = project && (await sendTo(deps, project, address, body))
          if (!outcome)
            return { ...about, outcome: 'refused', reason: 'the project has no credentials for it' }
          return { ...about, outcome: outcome.kind, reason: 'reason' in outcome ? outcome.reason : null }
        }),
      )
    },
  }
}
