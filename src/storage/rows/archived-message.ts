import type { Archived, NewArchived } from '../../archive/store.ts'

/** How both engines write an archived message; its topic and its place are in the key. */
export const archivedText = ({ expiresAt, at, tag, id, owner, message }: NewArchived): string =>
  `${expiresAt} ${at} ${tag} ${id}${owner === undefined ? '' : ` ${owner}`}\n${message}`

export const archivedOf = (text: string, topic: string, seq: number): Archived => {
  const end = text.indexOf('\n')
  const [expiresAt, at, tag, id = '', owner] = text.slice(0, end).split(' ')
  const times = { at: Number(at), expiresAt: Number(expiresAt) }
  return {
    ...{ topic, seq, id, message: text.slice(end + 1), tag: Number(tag), ...times },
    ...(owner !== undefined && { owner }),
  }
}
