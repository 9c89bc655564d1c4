import type { Archived, NewArchived } from '../../archive/store.ts'
import { invariant } from '../../platform/invariant.ts'

/** How both engines write an archived message; its topic and its place are in the key. */
export const archivedText = ({ expiresAt, at, tag, id, owner, message }: NewArchived): string => {
  invariant(Number.isFinite(expiresAt) && Number.isFinite(at), 'times of an archived message are numbers')
  return `${expiresAt} ${at} ${tag} ${id}${owner === undefined ? '' : ` ${owner}`}\n${message}`
}

export const archivedOf = (text: string, topic: string, seq: number): Archived => {
  const end = text.indexOf('\n')
  const [expiresAt, at, tag, id = '', owner] = text.slice(0, end).split(' ')
  const times = { at: Number(at), expiresAt: Number(expiresAt) }
  invariant(end > 0 && Number.isFinite(times.expiresAt), 'a row of the archive begins with its times')
  return {
    ...{ topic, seq, id, message: text.slice(end + 1), tag: Number(tag), ...times },
    ...(owner !== undefined && { owner }),
  }
}
