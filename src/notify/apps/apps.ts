/**
 * The apps that projects (`projects`) declare.
 *
 * An app is a domain that wallets subscribe to, with two key pairs of its own, made at its enrolment. Wallets cache them
 * for life, so replaced ones (`rotation`) go on to count for a while. One domain belongs to one project.
 *
 * Guarantees: private keys leave this file opened only inside an `App`. Enrolling is idempotent and returns the same keys.
 * The server has joined the topic of an app before its enrolment returns. An unknown domain is never cached, so an app
 * that another process enrols works here at once.
 */
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import {
  agreementKeyFrom,
  generateAgreementKey,
  generateSigningKey,
  signingKeyFrom,
} from '../../protocol/keys.ts'
import { topicOf } from '../../protocol/topic.ts'
import { uuidFrom } from '../ids.ts'
import type { AppRecord, NotificationType, NotifyStore, Sealed, Welcome } from '../store/store.ts'
import type { KeyRing, Keys } from './key-ring.ts'
import { createProjectRegistry, type ProjectRegistry } from './projects.ts'

/** An app's domain as published, and also with a port. At most 253 characters. */
export const DOMAIN = /^[a-z0-9-_.]+(?::[0-9]{1,5})?$/
export const MAX_DOMAIN_LENGTH = 253
/** A notification type's id: as the specification has it, or a UUID as real configurations do. */
export const TYPE_ID = /^(?:[a-z0-9_-]{2,32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$/

/** Apps whose opened keys are cached. */
const MAX_CACHED_APPS = 1024

/** An app with its keys opened. The key objects stay the same while they are cached. */
export interface App extends KeyRing {
  record: AppRecord
}

/** What an app says about itself; what is absent stays as it is. */
export interface Declaration {
  name?: string | undefined
  description?: string | undefined
  url?: string | undefined
  icons?: Partial<AppRecord['icons']> | undefined
  /** The whole list. A type without an id keeps the id of the present type with that name, or gets a new UUID. */
  types?: readonly { id?: string | undefined; name: string; description?: string | undefined }[] | undefined
  listed?: boolean | undefined
  links?: boolean | undefined
  /** Null removes it. */
  welcome?: Welcome | null | undefined
}

export interface Apps {
  /** The owners of the apps. */
  readonly projects: ProjectRegistry
  createProject: ProjectRegistry['create']
  authenticate: ProjectRegistry['authenticate']
  /**
   * Makes the app unless it exists, applies the declaration, and returns once the server has joined its subscribe topic.
   * Throws `not_found` (no such project), `conflict` (another project holds the domain), `quota_reached`, `bad_params`.
   */
  enrol(app: { projectId: string; domain: string } & Declaration): Promise<App>
  /** Changes what an app says about itself. Throws `unknown_app`, `bad_params`. */
  describe(domain: string, declaration: Declaration): Promise<App>
  byDomain(domain: string): Promise<App | undefined>
  byTopic(subscribeTopic: string): Promise<App | undefined>
  /** A page of records in domain order, keys unopened. */
  list(page: { projectId?: string; after?: string; limit: number }): Promise<AppRecord[]>
}

export interface AppsDeps {
  store: NotifyStore
  vault: { seal(bytes: Uint8Array): Sealed; open(sealed: Sealed): Uint8Array }
  clock: Clock
  randomBytes: (length: number) => Uint8Array
  /** Subscribes the notify server to a topic; resolves when the relay has it. */
  join: (topic: string) => Promise<void>
}

type OpenApp = (record: AppRecord) => App

/** Opens the keys of apps, cached. A record is read anew each time, and says whether the cached keys are still its own. */
const createOpenApp = ({ vault, clock }: Pick<AppsDeps, 'vault' | 'clock'>): OpenApp => {
  const cached = new Map<string, { sealed: string; keys: Keys; former: (Keys & { until: number })[] }>()

  const openKeys = (record: Pick<AppRecord, 'authenticationSeed' | 'subscribePrivateKey'>): Keys => ({
    authentication: signingKeyFrom(vault.open(record.authenticationSeed)),
    subscribe: agreementKeyFrom(vault.open(record.subscribePrivateKey)),
  })

  return (record) => {
    const { previousKeys = [] } = record
    const sealed = [record, ...previousKeys]
      .map(({ authenticationSeed, subscribePrivateKey }) => `${authenticationSeed} ${subscribePrivateKey}`)
      .join(' ')
    let opened = cached.get(record.domain)
    if (opened?.sealed !== sealed) {
      const former = previousKeys.map((keys) => ({ ...openKeys(keys), until: keys.until }))
      opened = { sealed, keys: openKeys(record), former }
    }
    // Moves it to the young end; the oldest is dropped.
    cached.delete(record.domain)
    cached.set(record.domain, opened)
    if (cached.size > MAX_CACHED_APPS) {
      const [oldest] = cached.keys()
      if (oldest !== undefined) cached.delete(oldest)
    }
    const now = clock.now()
    return { record, ...opened.keys, previous: opened.former.filter(({ until }) => until > now) }
  }
}

/** Merges declarations into records. */
const createDeclarations = (randomBytes: AppsDeps['randomBytes']) => {
  const typesFrom = (
    declared: NonNullable<Declaration['types']>,
    present: readonly NotificationType[],
  ): NotificationType[] => {
    const unclaimed = [...present]
    const idOf = (name: string): string => {
      const at = unclaimed.findIndex((type) => type.name === name)
      const [known] = at < 0 ? [] : unclaimed.splice(at, 1)
      return known?.id ?? uuidFrom(randomBytes(16), 4)
    }
    const types = declared.map(({ id, name, description = '' }) => ({
      id: id ?? idOf(name),
      name,
      description,
    }))
    const ids = new Set<string>()
    for (const [at, { id }] of types.entries()) {
      const field = { field: `types[${at}].id` }
      if (!TYPE_ID.test(id)) throw new ProtocolError('bad_params', `type id ${id}`, field)
      if (ids.has(id)) throw new ProtocolError('bad_params', `the type ${id} appears twice`, field)
      ids.add(id)
    }
    return types
  }

  return (present: AppRecord, declaration: Declaration): AppRecord => ({
    ...present,
    name: declaration.name ?? present.name,
    description: declaration.description ?? present.description,
    url: declaration.url ?? present.url,
    icons: { ...present.icons, ...declaration.icons },
    types: declaration.types ? typesFrom(declaration.types, present.types) : present.types,
    listed: declaration.listed ?? present.listed,
    ...(declaration.links !== undefined && { links: declaration.links }),
    ...(declaration.welcome !== undefined && { welcome: declaration.welcome }),
  })
}

const createDescribe =
  (
    store: Pick<NotifyStore, 'app' | 'describeApp'>,
    open: OpenApp,
    declared: ReturnType<typeof createDeclarations>,
  ): Apps['describe'] =>
  async (domain, declaration) => {
    const present = await store.app(domain)
    if (!present) throw new ProtocolError('unknown_app', domain)
    if (!Object.values(declaration).some((value) => value !== undefined)) return open(present)
    const next = declared(present, declaration)
    const { name, description, url, icons, types, listed, links, welcome } = next
    await store.describeApp(domain, {
      ...{ name, description, url, icons, types, listed },
      ...(links !== undefined && { links }),
      ...(welcome !== undefined && { welcome }),
    })
    return open(next)
  }

/** A record with new keys, for an app that declares nothing yet. */
const newRecord = (
  { vault, clock }: Pick<AppsDeps, 'vault' | 'clock'>,
  projectId: string,
  domain: string,
): AppRecord => {
  const authentication = generateSigningKey()
  const subscribe = generateAgreementKey()
  return {
    domain,
    projectId,
    name: '',
    description: '',
    url: '',
    icons: { sm: '', md: '', lg: '' },
    types: [],
    listed: false,
    authenticationSeed: vault.seal(authentication.seed),
    authenticationKey: toHex(authentication.publicKey),
    subscribePrivateKey: vault.seal(subscribe.privateKey),
    subscribeKey: toHex(subscribe.publicKey),
    subscribeTopic: topicOf(subscribe.publicKey),
    createdAt: clock.now(),
  }
}

const createEnrol = (
  { store, vault, clock, join }: AppsDeps,
  {
    projects,
    open,
    declared,
    describe,
  }: {
    projects: Pick<ProjectRegistry, 'project'>
    open: OpenApp
    declared: ReturnType<typeof createDeclarations>
    describe: Apps['describe']
  },
): Apps['enrol'] => {
  /** Of several calls at the same time the first wins, and all return its keys. */
  const create = async (projectId: string, domain: string, declaration: Declaration) => {
    const { settings } = await projects.project(projectId)
    const quota = settings?.quotas?.apps
    // Soft: several calls at the same time may exceed it.
    if (quota !== undefined && (await store.apps({ projectId, limit: quota })).length >= quota) {
      throw new ProtocolError('quota_reached', `it is ${quota} apps`)
    }
    const proposal = newRecord({ vault, clock }, projectId, domain)
    const record = await store.createApp(declared(proposal, declaration))
    invariant(record.domain === domain, 'An app is stored under its own domain')
    return { record, isNew: record.authenticationKey === proposal.authenticationKey }
  }

  return async ({ projectId, domain, ...declaration }) => {
    if (!DOMAIN.test(domain) || domain.length > MAX_DOMAIN_LENGTH) {
      throw new ProtocolError('bad_params', `domain ${JSON.stringify(domain)}`, { field: 'domain' })
    }
    const known = await store.app(domain)
    const { record, isNew } = known
      ? { record: known, isNew: false }
      : await create(projectId, domain, declaration)
    if (record.projectId !== projectId) {
      throw new ProtocolError('conflict', 'another project holds this domain', { field: 'appDomain' })
    }
    const app = isNew ? open(record) : await describe(domain, declaration)
    // Also for an existing app: the process that made it may have died before it joined the topic.
    await join(record.subscribeTopic)
    return app
  }
}

export const createApps = (deps: AppsDeps): Apps => {
  const { store, clock, randomBytes } = deps
  const projects = createProjectRegistry({ store, clock, randomBytes })
  const open = createOpenApp(deps)
  const declared = createDeclarations(randomBytes)
  const describe = createDescribe(store, open, declared)
  return {
    projects,
    createProject: projects.create,
    authenticate: projects.authenticate,
    enrol: createEnrol(deps, { projects, open, declared, describe }),
    describe,

    async byDomain(domain) {
      const record = await store.app(domain)
      return record && open(record)
    },

    async byTopic(subscribeTopic) {
      const record = await store.appByTopic(subscribeTopic)
      return record && open(record)
    },

    list: (page) => store.apps(page),
  }
}
