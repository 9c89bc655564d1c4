/**
 * One push to one device: what waits is looked at once more, put together, handed to the provider, and ticked off.
 *
 * A message that was acknowledged, that has expired, or that was handed to the device within the last hour is dropped. What became
 * of the others is told (`Told`) before it is ticked off: so it is told at least once.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { quietUntil } from '../../platform/runtime/quiet-hours.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { HOUR_MS, MINUTE_MS } from '../../platform/units.ts'
import type { Projects } from '../projects.ts'
import { type ComposedPush, compose, type ReadyMessage } from '../providers/compose.ts'
import type { Provider, SendOutcome } from '../providers/provider.ts'
import type { Device, ProviderName, PushStore, WaitingMessage, WaitingPush } from '../store.ts'
import type { Providers } from './providers.ts'
import type { Mailboxes } from './recovery.ts'

const FIRST_PAUSE_MS = 1_000
const MAX_PAUSE_MS = HOUR_MS
/** A device whose project has no credentials is looked at so often. */
const UNSERVED_PAUSE_MS = MINUTE_MS
/** From here on a message is urgent. */
const URGENT_RANK = 2

/** What became of a message, for one device. */
export interface PushReport {
  clientId: string
  topic: string
  id: string
  tag: number
  /** The client that published it. */
  publisher: string
  provider: ProviderName
  at: number
  outcome: 'pushed' | 'refused'
  /** Why it was refused. */
  reason?: string
}

/** Told what became of messages; resolves when it is durable. */
export type Told = (reports: readonly PushReport[]) => Promise<void>

/** What the worker must know of a push: whether the whole provider is down. */
export interface SendResult {
  isDown: boolean
  /** When the provider wants to be asked again, ms from now. */
  afterMs?: number | undefined
}
const SERVED: SendResult = { isDown: false }

interface SenderDeps {
  store: Pick<PushStore, 'devices' | 'holders' | 'handed' | 'gone' | 'finish'>
  projects: Pick<Projects, 'find' | 'stop'>
  providers: Pick<Providers, 'of'>
  mailboxes: Mailboxes
  told: Told
  clock: Clock
  log: Log
  meter: Meter
}

export type Sender = (push: WaitingPush, signal: AbortSignal) => Promise<SendResult>

/** Doubles, with a tenth more or less, so that those that failed together do not come together. */
const pauseAfter = (attempts: number): number =>
  Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempts, 20), MAX_PAUSE_MS) * (0.9 + Math.random() / 5)

/** The device, if it is the one that the push is for. */
const deviceOf = async (
  { store }: SenderDeps,
  push: WaitingPush,
  now: number,
): Promise<Device | undefined> => {
  const found = (await store.devices([push.clientId], now)).find(({ id }) => id === push.deviceId)
  const isIt = found?.projectId === push.projectId && found.address.provider === push.provider
  const [holder] = found && isIt ? await store.holders([found]) : []
  return holder
}

/** The message with its text; undefined when it is not to be pushed any more. */
const readyOne = async (
  { mailboxes }: SenderDeps,
  clientId: string,
  one: WaitingMessage,
  now: number,
): Promise<ReadyMessage | undefined> => {
  if (one.isForeign) return { ...one, message: one.text }
  const seq = one.seq ?? (await mailboxes.message(one.topic, one.id, now))?.seq
  if (seq === undefined) return undefined
  const [found] = await mailboxes.pick(clientId, one.topic, [seq], now)
  if (found?.id !== one.id) return undefined
  return { ...one, message: found.message, publisher: found.publisher }
}

const readyOf = async (deps: SenderDeps, push: WaitingPush, now: number): Promise<ReadyMessage[]> => {
  const live = push.messages.filter(({ expiresAt }) => expiresAt > now)
  const handed = await deps.store.handed(
    push,
    live.map(({ id }) => id),
  )
  const open = live.filter(({ id }) => !handed.has(id))
  const ready = await Promise.all(open.map((one) => readyOne(deps, push.clientId, one, now)))
  return ready.filter((one) => one !== undefined)
}

/** How far a push has come. */
interface Progress {
  handed: string[]
  refused: { id: string; reason: string }[]
  /** What ended it before all was handed over. */
  end: Exclude<SendOutcome, { kind: 'accepted' }> | undefined
}

/** Hands over one after the other; what refuses one message is no end for the others. */
const handOver = async (
  provider: Provider,
  { device, projectId }: { device: Device; projectId: string },
  pushes: readonly (ComposedPush & { expiresAt: number; isUrgent: boolean })[],
  signal: AbortSignal,
): Promise<Progress> => {
  const progress: Progress = { handed: [], refused: [], end: undefined }
  for (const { ids, ...message } of pushes) {
    const outcome = await provider.send({ address: device.address, projectId }, message, signal)
    if (outcome.kind === 'accepted') progress.handed.push(...ids)
    else if (outcome.kind === 'refused' && outcome.of !== 'credentials')
      progress.refused.push(...ids.map((id) => ({ id, reason: outcome.reason })))
    else {
      progress.end = outcome
      break
    }
  }
  return progress
}

const reportsOf = (
  push: WaitingPush,
  messages: readonly ReadyMessage[],
  { handed, refused, end }: Progress,
  at: number,
): PushReport[] =>
  messages.flatMap(({ id, topic, tag, publisher }): PushReport[] => {
    // Another relay has it.
    if (publisher === undefined) return []
    const about = { clientId: push.clientId, topic, id, tag, publisher, provider: push.provider, at }
    if (handed.includes(id)) return [{ ...about, outcome: 'pushed' }]
    const why =
      refused.find((one) => one.id === id)?.reason ?? (end?.kind === 'gone' ? end.reason : undefined)
    return why === undefined ? [] : [{ ...about, outcome: 'refused', reason: why }]
  })

/** When what is left comes again; undefined where nothing stands against it. */
const againAfter = (
  end: Progress['end'],
  { attempts }: WaitingPush,
  now: number,
): { at: number; attempts: number } | undefined => {
  if (!end) return undefined
  if (end.kind !== 'later') return { at: now + FIRST_PAUSE_MS, attempts }
  // A provider that is down says nothing about the device.
  const pauseMs = end.afterMs ?? (end.isDown ? FIRST_PAUSE_MS : pauseAfter(attempts))
  return { at: now + Math.min(pauseMs, MAX_PAUSE_MS), attempts: end.isDown ? attempts : attempts + 1 }
}

export const createSender = (deps: SenderDeps): Sender => {
  const { store, projects, providers, told, clock, log, meter } = deps

  const settle = async (
    push: WaitingPush,
    device: Device,
    ready: readonly ReadyMessage[],
    { progress, credentialsId }: { progress: Progress; credentialsId: string },
  ): Promise<SendResult> => {
    const now = clock.now()
    const { handed, refused, end } = progress
    await told(reportsOf(push, ready, progress, now))
    const { provider, projectId } = push
    if (handed.length > 0) meter.count('push_messages_total', { provider, outcome: 'pushed' }, handed.length)
    if (refused.length > 0)
      meter.count('push_messages_total', { provider, outcome: 'refused' }, refused.length)
    if (end) meter.count('push_failures_total', { provider, kind: end.kind })
    const open = new Set(ready.map(({ id }) => id))
    for (const id of [...handed, ...refused.map((one) => one.id)]) open.delete(id)
    /** What was not to be pushed any more, and what was refused. */
    const dropped = push.messages.map(({ id }) => id).filter((id) => !open.has(id) && !handed.includes(id))
    if (end?.kind === 'gone') {
      log.debug({ provider, project: projectId, reason: end.reason }, 'A device is gone')
      await store.gone(push, device.address, now)
      await store.finish(push, { handed, dropped: push.messages.map(({ id }) => id), now })
      return SERVED
    }
    const again = againAfter(end, push, now)
    await store.finish(push, { handed, dropped, now, ...(again && { again }) })
    if (end?.kind === 'refused' && (provider === 'apns' || provider === 'fcm'))
      await projects.stop(projectId, provider, credentialsId, end.reason)
    return end?.kind === 'later' ? { isDown: end.isDown, afterMs: end.afterMs } : SERVED
  }

  const dropAll = (push: WaitingPush, now: number) =>
    store.finish(push, { handed: [], dropped: push.messages.map(({ id }) => id), now })

  const postpone = async (push: WaitingPush, at: number, now: number): Promise<SendResult> => {
    await store.finish(push, { handed: [], dropped: [], now, again: { at, attempts: push.attempts } })
    return SERVED
  }

  return async (push, signal) => {
    const now = clock.now()
    const [device, project] = await Promise.all([deviceOf(deps, push, now), projects.find(push.projectId)])
    if (!device || !project) {
      await dropAll(push, now)
      return SERVED
    }
    const again = device.quiet && quietUntil(device.quiet, now)
    if (again !== undefined) return postpone(push, again, now)
    const served = providers.of(project, push.provider)
    if (!served) return postpone(push, now + UNSERVED_PAUSE_MS, now)
    const ready = await readyOf(deps, push, now)
    if (ready.length === 0) {
      await dropAll(push, now)
      return SERVED
    }
    const pushes = composedFor(device, served.provider, ready, push)
    const progress = await handOver(served.provider, { device, projectId: project.id }, pushes, signal)
    return settle(push, device, ready, { progress, credentialsId: served.credentialsId })
  }
}

/** With when the provider forgets it, and whether it wakes the device at once. */
const composedFor = (
  device: Device,
  provider: Provider,
  ready: readonly ReadyMessage[],
  { more }: WaitingPush,
) =>
  compose(device, provider, ready, more).map((one) => {
    const about = ready.filter(({ id }) => one.ids.includes(id))
    return {
      ...one,
      expiresAt: Math.max(...about.map(({ expiresAt }) => expiresAt)),
      isUrgent: about.some(({ rank }) => rank >= URGENT_RANK),
    }
  })
