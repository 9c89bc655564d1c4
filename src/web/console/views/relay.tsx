/** Who is connected to this process, and one topic with its mailboxes. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask, nothing, path } from '../core/api.ts'
import { bytes, count, short, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { T } from '../core/texts.ts'
import { BlockButton } from '../parts/block.tsx'
import { Confirm } from '../parts/dialog.tsx'
import { Field, Form } from '../parts/form.tsx'
import { Badge, Card, Table } from '../parts/table.tsx'

const EVERY_MS = 3_000
const MAX_SHOWN = 200

const Connections = z.object({
  total: z.number(),
  connections: z.array(
    z.object({
      clientId: z.string(),
      address: z.string(),
      isShared: z.boolean(),
      isTrusted: z.boolean(),
      isBlocked: z.boolean(),
    }),
  ),
})

const Topic = z.object({
  topic: z.string(),
  messages: z.number(),
  bytes: z.number(),
  oldestAt: z.nullable(z.string()),
  publishers: z.array(z.object({ publisher: z.string(), messages: z.number(), bytes: z.number() })),
  payers: z.array(z.object({ payer: z.string(), messages: z.number(), bytes: z.number() })),
  members: z.array(z.object({ clientId: z.string(), isSubscribed: z.boolean(), behind: z.number() })),
  memberCount: z.number(),
})
type Topic = z.output<typeof Topic>

const Connected = () => {
  const { value, failure, again } = useLoaded(Connections, `/admin/connections?limit=${MAX_SHOWN}`, EVERY_MS)
  return (
    <Card
      title={T.relay.connections}
      side={
        value && (
          <span class="quiet">{T.relay.shown(count(value.connections.length), count(value.total))}</span>
        )
      }
    >
      <Table
        failure={failure}
        caption={T.relay.connections}
        rows={value?.connections.map((one, at) => ({ ...one, at }))}
        keyOf={({ clientId, at }) => `${clientId} ${at}`}
        empty={T.relay.none}
        columns={[
          {
            title: T.relay.client,
            show: ({ clientId }) => <code title={clientId}>{short(clientId, 26)}</code>,
          },
          { title: T.relay.address, show: ({ address }) => <code class="whole">{address || '–'}</code> },
          {
            title: T.relay.kind,
            show: ({ isTrusted, isShared }) =>
              isTrusted ? T.relay.own : isShared ? T.relay.shared : T.relay.single,
          },
          {
            title: '',
            show: ({ clientId, isTrusted, isBlocked }) =>
              isBlocked ? (
                <Badge tone="bad">{T.budgets.blocked}</Badge>
              ) : (
                !isTrusted && <BlockButton kind="client" value={clientId} done={again} />
              ),
          },
        ]}
      />
    </Card>
  )
}

const Held = ({
  title,
  rows,
}: {
  title: string
  rows: { name: string; messages: number; bytes: number }[]
}) => (
  <>
    <h3>{title}</h3>
    <Table
      caption={title}
      rows={rows}
      keyOf={({ name }) => name}
      empty={T.relay.nobody}
      columns={[
        { title: T.budgets.owner, show: ({ name }) => <code title={name}>{short(name, 30)}</code> },
        { title: T.relay.messages, show: ({ messages }) => count(messages), isNumber: true },
        { title: T.relay.bytes, show: (row) => bytes(row.bytes), isNumber: true },
      ]}
    />
  </>
)

const Report = ({ report, again }: { report: Topic; again: () => Promise<void> }) => (
  <>
    <p>
      <code>{report.topic}</code>
    </p>
    <dl class="pairs">
      <dt>{T.relay.messages}</dt>
      <dd>{count(report.messages)}</dd>
      <dt>{T.relay.bytes}</dt>
      <dd>{bytes(report.bytes)}</dd>
      <dt>{T.relay.oldest}</dt>
      <dd>{time(report.oldestAt)}</dd>
    </dl>
    <Held
      title={T.relay.publishers}
      rows={report.publishers.map(({ publisher, ...held }) => ({ name: publisher, ...held }))}
    />
    <Held
      title={T.relay.payers}
      rows={report.payers.map(({ payer, ...held }) => ({ name: payer, ...held }))}
    />
    <h3>{`${T.relay.waiting} (${count(report.memberCount)})`}</h3>
    <Table
      caption={T.relay.waiting}
      rows={report.members}
      keyOf={({ clientId }) => clientId}
      empty={T.relay.nobody}
      columns={[
        {
          title: T.relay.client,
          show: ({ clientId }) => <code title={clientId}>{short(clientId, 30)}</code>,
        },
        { title: T.relay.subscribers, show: ({ isSubscribed }) => (isSubscribed ? T.yes : T.no) },
        { title: T.relay.messages, show: ({ behind }) => count(behind), isNumber: true },
      ]}
    />
    {report.messages > 0 && (
      <div class="row">
        <Confirm
          {...{ label: T.relay.clear, title: T.relay.clearTitle, about: T.relay.clearAbout }}
          typed={report.topic.slice(0, 8)}
          action={async () => {
            await ask(nothing, ['DELETE', path`/admin/topics/${report.topic}`])
            await again()
          }}
        />
      </div>
    )}
  </>
)

const LookAtTopic = () => {
  const report = useSignal<Topic | undefined>(undefined)
  const load = async (topic: string) => {
    report.value = await ask(Topic, ['GET', path`/admin/topics/${topic}`])
  }
  return (
    <Card title={T.relay.topic}>
      <Form button={T.relay.look} fields={['topic']} submit={({ topic = '' }) => load(topic)}>
        <Field name="topic" label={T.relay.topicField} hint={T.relay.topicHint} isRequired />
      </Form>
      {report.value && <Report report={report.value} again={() => load(report.value?.topic ?? '')} />}
    </Card>
  )
}

export const Relay = () => (
  <>
    <Connected />
    <LookAtTopic />
  </>
)
