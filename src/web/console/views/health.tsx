/** The process, its store and what waits. */
import type { ComponentChildren } from 'preact'
import { ago, bytes, count, percent, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { Status } from '../core/shapes.ts'
import { T } from '../core/texts.ts'
import { Problem } from '../parts/form.tsx'
import { Badge, Bar, Card } from '../parts/table.tsx'

const EVERY_MS = 3_000

const Pairs = ({ rows }: { rows: readonly (readonly [string, ComponentChildren])[] }) => (
  <dl class="pairs">
    {rows.map(([label, value]) => (
      <>
        <dt>{label}</dt>
        <dd>{value}</dd>
      </>
    ))}
  </dl>
)

const toneOf = (isGood: boolean) => (isGood ? 'good' : 'bad')

type Health = Status['store']['health']
type RedisNode = Extract<Health, { engine: 'redis' }>['nodes'][number]

const RedisCard = ({ node, at }: { node: RedisNode; at: number }) => (
  <Card title={T.health.node_(at + 1)}>
    <Pairs
      rows={[
        [T.health.version, node.version],
        [T.health.used, bytes(node.usedBytes)],
        [T.health.max, node.maxBytes === null ? T.health.noMax : bytes(node.maxBytes)],
        [
          T.health.policy,
          <Badge key="policy" tone={toneOf(node.policy === 'noeviction')}>
            {node.policy === 'noeviction' ? node.policy : `${node.policy}: ${T.health.policyWrong}`}
          </Badge>,
        ],
        [T.health.appendOnly, node.isAppendOnly ? T.yes : T.no],
        [T.health.lastAppend, node.lastAppend],
        [T.health.lastSave, node.lastSave],
        [T.health.clients, count(node.clients)],
      ]}
    />
  </Card>
)

const StoreCard = ({ store }: { store: Status['store'] }) => {
  const { health, space, pressure, trouble } = store
  const used = space.totalBytes > 0 ? 1 - space.freeBytes / space.totalBytes : 0
  return (
    <Card title={T.health.store} side={<Badge tone={pressure}>{pressure}</Badge>}>
      <Bar part={used} label={`${T.health.used}: ${percent(used)}`} />
      <Pairs
        rows={[
          [T.health.engine, health.engine === 'embedded' ? 'LMDB' : 'Redis'],
          [T.health.free, `${bytes(space.freeBytes)} (${space.kind})`],
          [T.health.total, bytes(space.totalBytes)],
          ...(health.engine === 'embedded'
            ? ([
                [T.health.file, bytes(health.fileBytes)],
                [T.health.reusable, bytes(health.reusableBytes)],
              ] as const)
            : []),
          [T.health.trouble, trouble ?? T.health.none],
        ]}
      />
    </Card>
  )
}

const ProcessCard = ({ process }: { process: Status['process'] }) => (
  <Card
    title={T.health.process}
    side={
      <Badge tone={toneOf(process.isHealthy)}>{process.isHealthy ? T.top.healthy : T.top.unhealthy}</Badge>
    }
  >
    <Pairs
      rows={[
        [T.health.version, process.version],
        [T.health.node, process.node],
        [T.health.pid, `${process.pid}`],
        [T.health.rooms, process.rooms.join(', ')],
        [T.health.started, time(process.startedAt)],
        [T.health.memory, bytes(process.rssBytes)],
      ]}
    />
  </Card>
)

export const Health = () => {
  const { value, failure } = useLoaded(Status, '/admin/status', EVERY_MS)
  if (!value) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  const { process, store, outbox, jobs } = value
  return (
    <>
      <Problem text={failure} />
      <div class="cards">
        <ProcessCard process={process} />
        <StoreCard store={store} />
        {store.health.engine === 'redis' &&
          store.health.nodes.map((node, at) => <RedisCard key={`${at}`} node={node} at={at} />)}
        <Card title={T.health.outbox}>
          <Pairs
            rows={[
              [T.health.size, count(outbox?.size)],
              [T.health.oldest, ago(outbox?.oldestAt ?? null)],
            ]}
          />
        </Card>
        <Card title={T.health.jobs}>
          <Pairs
            rows={[
              [T.health.waiting, count(jobs.waiting)],
              [T.health.dead, count(jobs.dead)],
            ]}
          />
        </Card>
      </div>
    </>
  )
}
