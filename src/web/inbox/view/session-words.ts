/** Which words belong to a request of a wallet session, and what of it a person has to see. */
import * as z from 'zod'
import type { ApprovalRequest } from '../../../sdk/sessions.ts'
import type { Key } from '../texts/index.ts'

interface Words {
  what: Key
  more?: Key
  values: Record<string, string>
  /** What is shown beside the words. */
  facts: unknown
}

const auth = z.object({ origin: z.string() })
const credential = z.object({ audience: z.string() })
const approval = z.object({
  operator: z.string(),
  sections: z.unknown(),
  hash: z.unknown(),
  header: z.unknown(),
})

const WORDS: Readonly<Record<string, (request: ApprovalRequest, details: unknown) => Words | undefined>> = {
  '/v1/auth/pk': ({ params }) => {
    const { data } = auth.safeParse(params)
    return data && { what: 'session.auth', more: 'session.auth.more', values: data, facts: undefined }
  },
  'wr-auth-pk': () => ({
    what: 'session.oldAuth',
    more: 'session.oldAuth.more',
    values: {},
    facts: undefined,
  }),
  '/v1/credential/presentation': ({ params }, facts) => {
    const { data } = credential.safeParse(params)
    return (
      data && {
        what: 'session.credential',
        more: 'session.credential.more',
        values: { origin: data.audience },
        facts,
      }
    )
  },
  'wr-data-approval': (_, details) => {
    const { data } = approval.safeParse(details)
    // What it says comes first, and what it is made of last.
    const facts = data && { sections: data.sections, hash: data.hash, header: data.header }
    return (
      data && {
        ...{ what: 'session.approval', more: 'session.approval.more', facts },
        values: { origin: data.operator },
      }
    )
  },
}

/** Of what is not known everything is shown. */
export const wordsOf = (request: ApprovalRequest, choice: string | undefined): Words => {
  const { method, params, details, choices } = request
  const chosen = choices?.find(({ id }) => id === choice)?.details ?? details
  const known = Object.hasOwn(WORDS, method) ? WORDS[method]?.(request, chosen) : undefined
  return known ?? { what: 'session.other', values: { method }, facts: { params, details: chosen } }
}
