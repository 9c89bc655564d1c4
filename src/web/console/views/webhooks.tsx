/** Webhooks of a project, and the events that were given up. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask, path } from '../core/api.ts'
import { count, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { Projects } from '../core/shapes.ts'
import { go } from '../core/state.ts'
import { T } from '../core/texts.ts'
import { Field, Problem, useAction } from '../parts/form.tsx'
import { Badge, Card, Pager, Table } from '../parts/table.tsx'

const EVERY_MS = 3_000

const Hooks = z.object({
  webhooks: z.array(
    z.object({
      id: z.string(),
      url: z.string(),
      events: z.array(z.string()),
      state: z.string(),
      reason: z.string(),
      hasDeadLetters: z.boolean(),
    }),
  ),
})
const Letters = z.object({
  deadLetters: z.array(
    z.object({
      id: z.string(),
      attempts: z.number(),
      failure: z.string(),
      type: z.string(),
      at: z.string(),
    }),
  ),
  next: z.nullable(z.string()),
})
const Replayed = z.object({ replayed: z.number() })

const DeadLetters = ({ base, changed }: { base: string; changed: () => Promise<void> }) => {
  const after = useSignal('')
  const said = useSignal<string | undefined>(undefined)
  const { isBusy, failure, run } = useAction()
  const query = new URLSearchParams({ limit: '50', ...(after.value && { after: after.value }) })
  const letters = useLoaded(Letters, `${base}?${query}`, EVERY_MS)
  const replay = (at: string) =>
    run(async () => {
      const { replayed } = await ask(Replayed, ['POST', base + at])
      said.value = T.webhooks.replayed(count(replayed))
      await letters.again()
      await changed()
    })
  const rows = letters.value?.deadLetters
  return (
    <Card
      title={T.webhooks.letters}
      side={
        rows !== undefined &&
        rows.length > 0 && (
          <button type="button" disabled={isBusy} onClick={() => void replay('/replay')}>
            {T.webhooks.replayAll}
          </button>
        )
      }
    >
      <Problem text={letters.failure ?? failure?.message} />
      {said.value !== undefined && <p role="status">{said.value}</p>}
      <Table
        caption={T.webhooks.letters}
        rows={rows}
        keyOf={({ id }) => id}
        empty={T.webhooks.lettersNone}
        columns={[
          { title: T.webhooks.event, show: ({ type }) => type },
          { title: T.webhooks.at, show: ({ at }) => time(at) },
          { title: T.webhooks.attempts, show: ({ attempts }) => count(attempts), isNumber: true },
          { title: T.webhooks.failure, show: (one) => one.failure },
          {
            title: '',
            show: ({ id }) => (
              <button
                type="button"
                class="small"
                disabled={isBusy}
                onClick={() => void replay(path`/${id}/replay`)}
              >
                {T.webhooks.replay}
              </button>
            ),
          },
        ]}
      />
      <Pager next={letters.value?.next} after={after} />
    </Card>
  )
}

const OfProject = ({ id }: { id: string }) => {
  const chosen = useSignal('')
  const { value, failure, again } = useLoaded(Hooks, path`/admin/projects/${id}/webhooks`, EVERY_MS)
  return (
    <>
      <Card title={T.webhooks.list}>
        <Table
          failure={failure}
          caption={T.webhooks.list}
          rows={value?.webhooks}
          keyOf={(one) => one.id}
          empty={T.webhooks.none}
          columns={[
            { title: T.webhooks.url, show: ({ url }) => <code>{url}</code> },
            { title: T.webhooks.events, show: ({ events }) => events.join(', ') },
            {
              title: T.webhooks.state,
              show: ({ state, reason }) => (
                <>
                  <Badge tone={state}>{state}</Badge> {reason}
                </>
              ),
            },
            {
              title: T.webhooks.dead,
              show: (one) =>
                one.hasDeadLetters || chosen.value === one.id ? (
                  <button
                    type="button"
                    class="small"
                    onClick={() => {
                      chosen.value = one.id
                    }}
                  >
                    {T.webhooks.show}
                  </button>
                ) : (
                  T.no
                ),
            },
          ]}
        />
      </Card>
      {chosen.value !== '' && (
        <DeadLetters
          base={path`/admin/projects/${id}/webhooks/${chosen.value}/dead-letters`}
          changed={again}
        />
      )}
    </>
  )
}

export const Webhooks = ({ parts: [project] }: { parts: readonly string[] }) => {
  const { value, failure } = useLoaded(Projects, '/admin/projects?limit=1000')
  if (!value) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  const chosen = project || value.projects[0]?.id
  if (!chosen) return <p class="empty">{T.projects.none}</p>
  return (
    <>
      <Field
        {...{ name: 'project', label: T.webhooks.project, value: chosen }}
        options={value.projects.map(({ id, name }) => [id, name === '' ? id : `${name} (${id})`])}
        onInput={(wanted) => go('webhooks', wanted)}
      />
      <OfProject key={chosen} id={chosen} />
    </>
  )
}
