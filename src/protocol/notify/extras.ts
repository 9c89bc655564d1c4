/**
 * Extras: what a notification may have beside its type, texts, icon and url. All of it is ours. Published clients read
 * the members that they know and leave these alone. A member that is not given is not on the wire.
 */
import * as z from '#schema'

/** Weakest first; absent means `normal`. */
export const PRIORITIES = ['low', 'normal', 'high', 'urgent'] as const
export type Priority = (typeof PRIORITIES)[number]

/** A link, or an answer that the account's identity key signs (4018). */
export type NotificationAction =
  | { id: string; title: string; url: string }
  | { id: string; title: string; answer: true }

export interface Extras {
  priority?: Priority
  /** An https URL. */
  image?: string
  actions?: readonly NotificationAction[]
  tags?: readonly string[]
  /** The texts in other languages, by BCP 47 tag. */
  locales?: Readonly<Record<string, { title: string; body: string }>>
  /** It is in the inbox, and neither wakes nor sounds. */
  silent?: boolean
}

const action = z.union([
  z.object({ id: z.string(), title: z.string(), url: z.string() }),
  z.object({ id: z.string(), title: z.string(), answer: z.literal(true) }),
])
/** Their shapes. How many and how long they may be is checked where dapps send them. */
export const extrasMembers = {
  priority: z.enum(PRIORITIES),
  image: z.string(),
  actions: z.array(action),
  tags: z.array(z.string()),
  locales: z.record(z.string(), z.object({ title: z.string(), body: z.string() })),
  silent: z.boolean(),
}

/** Out of a message or a history. What is not as it should be is left out: the notification counts all the same. */
export const extrasOf = (item: Record<string, unknown>): Extras => {
  const priority = extrasMembers.priority.safeParse(item.priority).data
  const image = extrasMembers.image.safeParse(item.image).data
  const actions = extrasMembers.actions.safeParse(item.actions).data
  const tags = extrasMembers.tags.safeParse(item.tags).data
  const locales = extrasMembers.locales.safeParse(item.locales).data
  return {
    ...(priority && { priority }),
    ...(image && { image }),
    ...(actions && { actions }),
    ...(tags && { tags }),
    ...(locales && { locales }),
    ...(item.silent === true && { silent: true }),
  }
}

/** Whether somebody who sleeps should hear of it, as far as its sender says. */
export const isQuiet = ({ priority, silent }: Extras): boolean => silent === true || priority === 'low'
