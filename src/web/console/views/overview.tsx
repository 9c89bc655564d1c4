/** How the server is now, and the last hour of it. */
import * as z from 'zod/mini'
import { ago, bytes, count, duration } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { Status } from '../core/shapes.ts'
import { T } from '../core/texts.ts'
import { Chart, type Line } from '../parts/chart.tsx'
import { Problem } from '../parts/form.tsx'
import { Card, Figure } from '../parts/table.tsx'

const NOW_EVERY_MS = 2_000
const SAMPLES_EVERY_MS = 10_000

const Samples = z.object({
  everySeconds: z.number(),
  samples: z.array(
    z.object({
      at: z.number(),
      published: z.number(),
      delivered: z.number(),
      notifications: z.number(),
      connections: z.number(),
      outbox: z.number(),
      rssBytes: z.number(),
      lagMs: z.number(),
    }),
  ),
})
type Sample = z.output<typeof Samples>['samples'][number]
const Connected = z.object({ total: z.number() })

const toneOf = (pressure: string) => (pressure === 'ok' ? undefined : pressure === 'high' ? 'warn' : 'bad')

const Now = ({ status, connections }: { status: Status; connections: number | undefined }) => {
  const { process, store, outbox, jobs } = status
  return (
    <dl class="figures">
      <Figure label={T.overview.connections} value={count(connections)} />
      <Figure
        label={T.overview.outbox}
        value={count(outbox?.size)}
        about={outbox?.oldestAt ? T.overview.oldest(ago(outbox.oldestAt)) : T.overview.outboxEmpty}
      />
      <Figure
        label={T.overview.jobs}
        value={count(jobs.waiting)}
        about={T.overview.dead(count(jobs.dead))}
        tone={(jobs.dead ?? 0) > 0 ? 'warn' : undefined}
      />
      <Figure
        label={T.overview.store}
        value={bytes(store.space.freeBytes)}
        about={T.overview.ofTotal(bytes(store.space.totalBytes))}
        tone={toneOf(store.pressure)}
      />
      <Figure
        label={T.overview.memory}
        value={bytes(process.rssBytes)}
        about={T.overview.heap(bytes(process.heapBytes))}
      />
      <Figure
        label={T.overview.up}
        value={duration(Date.now() - new Date(process.startedAt).getTime())}
        about={`${T.overview.process} ${process.pid}`}
      />
    </dl>
  )
}

const line = (
  label: string,
  colour: string,
  samples: readonly Sample[],
  of: (one: Sample) => number,
): Line => ({
  ...{ label, colour, values: samples.map(of) },
})

const Charts = ({ samples }: { samples: readonly Sample[] }) => {
  const times = samples.map(({ at }) => at / 1000)
  const { chart } = T.overview
  const messages = [
    line(chart.published, '--accent', samples, (one) => one.published),
    line(chart.delivered, '--good', samples, (one) => one.delivered),
    line(chart.notifications, '--warn', samples, (one) => one.notifications),
  ]
  const single = (title: string, of: (one: Sample) => number) => (
    <Chart title={title} times={times} lines={[line(title, '--accent', samples, of)]} />
  )
  return (
    <div class="charts">
      <Chart title={chart.messages} times={times} lines={messages} />
      {single(chart.connections, (one) => one.connections)}
      {single(chart.outbox, (one) => one.outbox)}
      {single(chart.memory, (one) => Math.round(one.rssBytes / 1024 / 1024))}
      {single(chart.lag, (one) => one.lagMs)}
    </div>
  )
}

export const Overview = () => {
  const now = useLoaded(Status, '/admin/status', NOW_EVERY_MS)
  const connected = useLoaded(Connected, '/admin/connections?limit=1', NOW_EVERY_MS)
  const hour = useLoaded(Samples, '/admin/samples', SAMPLES_EVERY_MS)
  return (
    <>
      <Problem text={now.failure} />
      <Card title={T.overview.now}>
        {now.value ? (
          <Now status={now.value} connections={connected.value?.total} />
        ) : (
          <p class="hint">{T.loading}</p>
        )}
      </Card>
      <Card title={T.overview.charts}>
        {(hour.value?.samples.length ?? 0) < 2 && <p class="hint">{T.overview.waiting}</p>}
        {hour.value && <Charts samples={hour.value.samples} />}
      </Card>
    </>
  )
}
