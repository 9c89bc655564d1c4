/** What operators did, newest first. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { auditWords } from '../core/audit-words.ts'
import { time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { T } from '../core/texts.ts'
import { Badge, Card, Pager, Table } from '../parts/table.tsx'

const Rows = z.object({
  rows: z.array(
    z.object({
      at: z.string(),
      by: z.enum(['token', 'session']),
      session: z.string(),
      passkey: z.string(),
      address: z.string(),
      action: z.string(),
      subject: z.record(z.string(), z.string()),
      status: z.number(),
      failure: z.string(),
    }),
  ),
  next: z.nullable(z.string()),
})
type Row = z.output<typeof Rows>['rows'][number]

const whoOf = ({ by, session, passkey }: Row) => {
  if (by === 'token') return T.audit.token
  const named = T.audit.session(session)
  return <span title={named}>{passkey === '' ? named : T.audit.passkey(passkey)}</span>
}

/** In words, the route below; what has no words is the route alone. */
const whatOf = ({ action, subject }: Row) => {
  const words = auditWords(action, subject.kind)
  if (words === undefined) return <code>{action}</code>
  return (
    <span title={action}>
      {words}
      <small class="route">
        <code>{action}</code>
      </small>
    </span>
  )
}

export const Audit = () => {
  const after = useSignal('')
  const query = new URLSearchParams({ limit: '50', ...(after.value && { after: after.value }) })
  const { value, failure } = useLoaded(Rows, `/admin/audit?${query}`)
  return (
    <Card title={T.audit.list}>
      <Table
        failure={failure}
        caption={T.audit.list}
        rows={value?.rows.map((row, at) => ({ ...row, key: `${row.at} ${at}` }))}
        keyOf={({ key }) => key}
        empty={T.audit.none}
        columns={[
          { title: T.audit.at, show: ({ at }) => time(at) },
          { title: T.audit.who, show: whoOf },
          { title: T.audit.from, show: ({ address }) => <code class="whole">{address}</code> },
          { title: T.audit.action, show: whatOf },
          {
            title: T.audit.subject,
            show: ({ subject }) =>
              Object.entries(subject)
                .filter(([, text]) => text !== '')
                .map(([name, text]) => `${name} ${text}`)
                .join(', '),
          },
          {
            title: T.audit.outcome,
            show: ({ status, failure: why }) =>
              why === '' && status < 400 ? (
                <Badge tone="good">{T.audit.done}</Badge>
              ) : (
                <>
                  <Badge tone="bad">{status}</Badge> {why}
                </>
              ),
          },
        ]}
      />
      <Pager next={value?.next} after={after} />
    </Card>
  )
}
