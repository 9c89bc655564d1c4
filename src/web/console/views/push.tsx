/** Push providers: whether they take what is sent, and for how many devices something waits. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask } from '../core/api.ts'
import { count, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { T } from '../core/texts.ts'
import { Problem, useAction } from '../parts/form.tsx'
import { Badge, Card, Table } from '../parts/table.tsx'

const EVERY_MS = 5_000

const PushProjects = z.object({
  projects: z.array(
    z.object({
      id: z.string(),
      open: z.boolean(),
      devices: z.number(),
      providers: z.array(
        z.object({
          provider: z.string(),
          state: z.string(),
          reason: z.nullable(z.string()),
          since: z.nullable(z.string()),
          waiting: z.number(),
        }),
      ),
    }),
  ),
})
type PushProject = z.output<typeof PushProjects>['projects'][number]
const Checks = z.object({
  checks: z.array(
    z.object({ project: z.string(), provider: z.string(), isGood: z.boolean(), detail: z.string() }),
  ),
})

const OfProject = ({ project }: { project: PushProject }) => (
  <Card
    title={project.id}
    side={
      <span class="quiet">
        {`${count(project.devices)} ${T.push.devices.toLowerCase()} · ${T.push.open}: ${project.open ? T.yes : T.no}`}
      </span>
    }
  >
    <Table
      caption={project.id}
      rows={project.providers}
      keyOf={({ provider }) => provider}
      empty={T.push.none}
      columns={[
        { title: T.push.provider, show: ({ provider }) => provider },
        { title: T.push.state, show: ({ state }) => <Badge tone={state}>{state}</Badge> },
        {
          title: T.push.reason,
          show: ({ reason, since }) => (reason === null ? '' : `${reason} (${time(since)})`),
        },
        { title: T.push.waiting, show: ({ waiting }) => count(waiting), isNumber: true },
      ]}
    />
  </Card>
)

const Check = () => {
  const checks = useSignal<z.output<typeof Checks> | undefined>(undefined)
  const { isBusy, failure, run } = useAction()
  const check = () =>
    run(async () => {
      checks.value = await ask(Checks, ['POST', '/admin/push/check'])
    })
  return (
    <Card title={T.push.checks}>
      <Problem text={failure?.message} />
      {checks.value && (
        <Table
          caption={T.push.checks}
          rows={checks.value.checks}
          keyOf={({ project, provider }) => `${project} ${provider}`}
          empty={T.push.noChecks}
          columns={[
            { title: T.webhooks.project, show: ({ project }) => project },
            { title: T.push.provider, show: ({ provider }) => provider },
            {
              title: T.push.state,
              show: ({ isGood }) => (
                <Badge tone={isGood ? 'good' : 'bad'}>{isGood ? T.push.good : T.push.bad}</Badge>
              ),
            },
            { title: T.push.detail, show: ({ detail }) => detail },
          ]}
        />
      )}
      <div class="row">
        <button type="button" disabled={isBusy} onClick={() => void check()}>
          {isBusy ? T.busy : T.push.check}
        </button>
      </div>
    </Card>
  )
}

export const Push = () => {
  const { value, failure } = useLoaded(PushProjects, '/admin/push', EVERY_MS)
  if (!value) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  return (
    <>
      {value.projects.length === 0 && <p class="empty">{T.push.none}</p>}
      {value.projects.map((project) => (
        <OfProject key={project.id} project={project} />
      ))}
      <Check />
    </>
  )
}
