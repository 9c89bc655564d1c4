/** Who uses and holds how much, and who is kept out. */
import * as z from 'zod/mini'
import { ask, nothing } from '../core/api.ts'
import { bytes, count, percent, short, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { T } from '../core/texts.ts'
import { BlockButton } from '../parts/block.tsx'
import { Confirm } from '../parts/dialog.tsx'
import { Field, Form, Problem, useAction } from '../parts/form.tsx'
import { Badge, Card, Table } from '../parts/table.tsx'

const EVERY_MS = 3_000

const Addresses = z.object({
  addresses: z.array(
    z.object({
      address: z.string(),
      payer: z.string(),
      connections: z.number(),
      memoryBytes: z.number(),
      workUsed: z.number(),
      isBlocked: z.boolean(),
    }),
  ),
})
const Kind = z.enum(['address', 'client', 'payer'])
const Blocks = z.object({
  blocks: z.array(
    z.object({
      kind: Kind,
      value: z.string(),
      note: z.string(),
      createdAt: z.string(),
      expiresAt: z.string(),
    }),
  ),
})
const Usage = z.object({
  isRunning: z.boolean(),
  table: z.nullable(z.string()),
  seen: z.number(),
  error: z.nullable(z.string()),
  tables: z.array(
    z.object({
      room: z.string(),
      what: z.string(),
      by: z.string(),
      rows: z.number(),
      bytes: z.number(),
      top: z.array(z.object({ owner: z.string(), rows: z.number(), bytes: z.number() })),
    }),
  ),
})

const InUse = ({ changed }: { changed: () => Promise<void> }) => {
  const { value, failure, again } = useLoaded(Addresses, '/admin/budgets?limit=50', EVERY_MS)
  const done = async () => {
    await again()
    await changed()
  }
  return (
    <Card title={T.budgets.addresses}>
      <Table
        failure={failure}
        caption={T.budgets.addresses}
        rows={value?.addresses}
        keyOf={({ address }) => address}
        empty={T.budgets.none}
        columns={[
          { title: T.budgets.address, show: ({ address }) => <code class="whole">{address}</code> },
          { title: T.budgets.payer, show: ({ payer }) => <code class="whole">{payer}</code> },
          { title: T.budgets.connections, show: ({ connections }) => count(connections), isNumber: true },
          { title: T.budgets.memory, show: ({ memoryBytes }) => bytes(memoryBytes), isNumber: true },
          { title: T.budgets.work, show: ({ workUsed }) => percent(workUsed), isNumber: true },
          {
            title: '',
            show: ({ address, isBlocked }) =>
              isBlocked ? (
                <Badge tone="bad">{T.budgets.blocked}</Badge>
              ) : (
                <BlockButton kind="address" value={address} done={done} />
              ),
          },
        ]}
      />
    </Card>
  )
}

type Loaded = ReturnType<typeof useLoaded<typeof Blocks>>

const BlockList = ({ blocks }: { blocks: Loaded }) => (
  <Card title={T.budgets.blocks}>
    <Table
      failure={blocks.failure}
      caption={T.budgets.blocks}
      rows={blocks.value?.blocks}
      keyOf={({ kind, value }) => `${kind} ${value}`}
      empty={T.budgets.blocksNone}
      columns={[
        { title: T.budgets.kind, show: ({ kind }) => T.budgets.kinds[kind] },
        { title: T.budgets.value, show: ({ value }) => <code title={value}>{short(value, 30)}</code> },
        { title: T.budgets.note, show: ({ note }) => note },
        { title: T.budgets.until, show: ({ expiresAt }) => time(expiresAt) },
        {
          title: '',
          show: ({ kind, value }) => (
            <Confirm
              {...{ label: T.budgets.unblock, title: T.budgets.unblockTitle, about: T.budgets.unblockAbout }}
              isQuiet
              action={async () => {
                await ask(nothing, ['DELETE', `/admin/blocks?${new URLSearchParams({ kind, value })}`])
                await blocks.again()
              }}
            />
          ),
        },
      ]}
    />
  </Card>
)

const NewBlock = ({ done }: { done: () => Promise<void> }) => (
  <Card title={T.budgets.add}>
    <Form
      button={T.budgets.block}
      isDanger
      fields={['kind', 'value', 'hours', 'note']}
      submit={async ({ kind, value, hours, note }, form) => {
        const body = { kind, value, hours: Number(hours), note }
        await ask(nothing, ['POST', '/admin/blocks'], { body })
        form.reset()
        await done()
      }}
    >
      <div class="columns">
        <Field
          {...{ name: 'kind', label: T.budgets.kind }}
          options={(['address', 'client', 'payer'] as const).map((kind) => [kind, T.budgets.kinds[kind]])}
        />
        <Field name="value" label={T.budgets.value} isRequired max={256} />
        <Field {...{ name: 'hours', label: T.budgets.hours, type: 'number', value: '24' }} isRequired />
        <Field name="note" label={T.budgets.note} max={200} />
      </div>
    </Form>
  </Card>
)

const Stored = ({ changed }: { changed: () => Promise<void> }) => {
  const { value, failure, again } = useLoaded(Usage, '/admin/usage?top=10', EVERY_MS)
  const counting = useAction()
  const begin = () =>
    counting.run(async () => {
      await ask(nothing, ['POST', '/admin/usage'])
      await again()
    })
  return (
    <Card
      title={T.budgets.holders}
      side={
        <button type="button" disabled={value?.isRunning ?? true} onClick={() => void begin()}>
          {T.budgets.count}
        </button>
      }
    >
      <Problem text={failure ?? value?.error ?? counting.failure?.message} />
      {value?.isRunning && <p role="status">{T.budgets.counting(value.table ?? '', count(value.seen))}</p>}
      {value && !value.isRunning && value.tables.length === 0 && <p class="hint">{T.budgets.notCounted}</p>}
      {value?.tables
        .filter(({ rows }) => rows > 0)
        .map(({ room, what, by, top }) => {
          const title = `${room}: ${T.budgets.by(what, by)}`
          return (
            <div key={title}>
              <h3>{title}</h3>
              <Table
                caption={title}
                rows={top}
                keyOf={({ owner }) => owner}
                empty={T.relay.nobody}
                columns={[
                  {
                    title: T.budgets.owner,
                    show: ({ owner }) => <code title={owner}>{short(owner, 34)}</code>,
                  },
                  { title: T.budgets.rows, show: ({ rows }) => count(rows), isNumber: true },
                  { title: T.budgets.bytes, show: (row) => bytes(row.bytes), isNumber: true },
                  {
                    title: '',
                    show: ({ owner }) =>
                      by === 'payer' &&
                      owner !== 'house' && <BlockButton kind="payer" value={owner} done={changed} />,
                  },
                ]}
              />
            </div>
          )
        })}
    </Card>
  )
}

export const Budgets = () => {
  const blocks = useLoaded(Blocks, '/admin/blocks', EVERY_MS)
  return (
    <>
      <BlockList blocks={blocks} />
      <NewBlock done={blocks.again} />
      <InUse changed={blocks.again} />
      <Stored changed={blocks.again} />
    </>
  )
}
