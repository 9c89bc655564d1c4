/**
 * Bounds the webhook calls of one process, so that a slow or dead receiver does not delay others: for each project, for
 * each webhook (one call while it fails), and half of all calls for those that fail. A call that finds no slot is put off
 * to when its webhook will have come that far, at its present pace. That is no attempt.
 */
import { invariant } from '../../platform/invariant.ts'

/** Calls under way in one process. */
export const MAX_CALLS = 64
const MAX_CALLS_PER_WEBHOOK = 4
const MAX_CALLS_PER_PROJECT = 16
/** How long a call takes while nothing is known of its receiver. */
const DEFAULT_PACE_MS = 100
const MAX_PUT_OFF_MS = 300_000

interface WebhookLoad {
  running: number
  isFailing: boolean
  /** How long a call took lately, ms. */
  pace: number
  /** Up to when its slots are promised to calls that were put off. */
  promisedUntil: number
}

export interface CallSlots {
  /** Returns how the slot is left, or (a number) when to try again, unix ms. */
  enter(id: string, projectId: string): ((tookMs: number, ok: boolean) => void) | number
}

export const createCallSlots = (now: () => number): CallSlots => {
  const webhooks = new Map<string, WebhookLoad>()
  /** Calls under way, by project. */
  const projects = new Map<string, number>()
  let failing = 0

  const isFull = (webhook: WebhookLoad, maxCalls: number, projectId: string): boolean =>
    webhook.running >= maxCalls ||
    (projects.get(projectId) ?? 0) >= MAX_CALLS_PER_PROJECT ||
    (webhook.isFailing && failing >= MAX_CALLS / 2)

  const leaveProject = (projectId: string): void => {
    const others = (projects.get(projectId) ?? 1) - 1
    if (others > 0) projects.set(projectId, others)
    else projects.delete(projectId)
  }

  return {
    enter(id, projectId) {
      const webhook = webhooks.get(id) ?? {
        running: 0,
        isFailing: false,
        pace: DEFAULT_PACE_MS,
        promisedUntil: 0,
      }
      webhooks.set(id, webhook)
      const maxCalls = webhook.isFailing ? 1 : MAX_CALLS_PER_WEBHOOK
      if (isFull(webhook, maxCalls, projectId)) {
        const step = Math.max(webhook.pace / maxCalls, 1)
        const next = Math.max(webhook.promisedUntil, now()) + step
        webhook.promisedUntil = Math.min(next, now() + MAX_PUT_OFF_MS)
        return Math.ceil(webhook.promisedUntil)
      }
      const wasFailing = webhook.isFailing
      webhook.running += 1
      projects.set(projectId, (projects.get(projectId) ?? 0) + 1)
      if (wasFailing) failing += 1
      return (tookMs, ok) => {
        webhook.running -= 1
        invariant(webhook.running >= 0, 'The calls of a webhook that are under way are never below zero')
        leaveProject(projectId)
        if (wasFailing) failing -= 1
        webhook.isFailing = !ok
        webhook.pace = (webhook.pace * 3 + tookMs) / 4
        if (ok && webhook.running === 0 && webhook.promisedUntil <= now()) webhooks.delete(id)
      }
    },
  }
}
