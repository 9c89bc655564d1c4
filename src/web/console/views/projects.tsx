/** Projects: their secrets and quotas. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask, nothing, path } from '../core/api.ts'
import { count, short, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { Project, Projects, Secret } from '../core/shapes.ts'
import { go, linkTo } from '../core/state.ts'
import { T } from '../core/texts.ts'
import { Confirm, ShownSecret } from '../parts/dialog.tsx'
import { Field, Form, Problem } from '../parts/form.tsx'
import { Card, Pager, Table } from '../parts/table.tsx'

const SECRET_OVERLAP_S = 86_400
const QUOTAS = ['apps', 'subscribersPerApp', 'notificationsPerDay'] as const

const Secrets = ({ project, again }: { project: Project; again: () => Promise<void> }) => {
  const shown = useSignal('')
  const base = path`/admin/projects/${project.id}`
  const make = async (what: string, body: unknown) => {
    shown.value = (await ask(Secret, ['POST', `${base}/${what}`], { body })).secret
    await again()
  }
  return (
    <Card title={T.projects.secrets}>
      <Table
        caption={T.projects.secrets}
        rows={project.secrets}
        keyOf={({ id }) => id}
        empty={T.projects.none}
        columns={[
          { title: T.projects.name, show: ({ name }) => name },
          { title: T.projects.created, show: ({ createdAt }) => time(createdAt) },
          { title: T.projects.lastUsed, show: ({ lastUsedAt }) => (lastUsedAt ? time(lastUsedAt) : T.never) },
          { title: T.projects.expires, show: ({ expiresAt }) => (expiresAt ? time(expiresAt) : T.never) },
          {
            title: '',
            show: ({ id }) => (
              <span class="row end">
                <Confirm
                  {...{
                    label: T.projects.rotate,
                    title: T.projects.rotateTitle,
                    about: T.projects.rotateAbout,
                  }}
                  isQuiet
                  action={() => make('rotate-secret', { secretId: id, overlapSeconds: SECRET_OVERLAP_S })}
                />
                <Confirm
                  {...{ label: T.projects.removeSecret, title: T.projects.removeTitle }}
                  about={T.projects.removeAbout}
                  isQuiet
                  action={async () => {
                    await ask(nothing, ['DELETE', base + path`/secrets/${id}`])
                    await again()
                  }}
                />
              </span>
            ),
          },
        ]}
      />
      <Form button={T.projects.addSecret} fields={['name']} submit={({ name }) => make('secrets', { name })}>
        <Field name="name" label={T.projects.secretName} isRequired max={64} />
      </Form>
      {shown.value !== '' && (
        <ShownSecret
          secret={shown.value}
          close={() => {
            shown.value = ''
          }}
        />
      )}
    </Card>
  )
}

const numberIn = (text: string | undefined): number | undefined =>
  text === undefined || text === '' ? undefined : Number(text)

const Quotas = ({ project, again }: { project: Project; again: () => Promise<void> }) => {
  const { quotas = {}, retentionDays } = project.settings
  return (
    <Card title={T.projects.quotas}>
      <Form
        button={T.apps.save}
        fields={[...QUOTAS, 'retentionDays']}
        submit={async (values) => {
          const given = QUOTAS.map((name) => [name, numberIn(values[name])] as const)
          const wanted = Object.fromEntries(given.filter(([, value]) => value !== undefined))
          const days = numberIn(values.retentionDays)
          const body = { quotas: wanted, ...(days !== undefined && { retentionDays: days }) }
          await ask(nothing, ['PUT', path`/admin/projects/${project.id}/settings`], { body })
          await again()
        }}
      >
        <div class="columns">
          {QUOTAS.map((name) => (
            <Field
              key={name}
              {...{ name, label: T.projects[name], hint: T.projects.quotaHint, type: 'number' }}
              value={quotas[name] === undefined ? '' : `${quotas[name]}`}
            />
          ))}
          <Field
            {...{ name: 'retentionDays', label: T.projects.retention, type: 'number' }}
            value={retentionDays === undefined ? '' : `${retentionDays}`}
          />
        </div>
      </Form>
    </Card>
  )
}

const OneProject = ({ id }: { id: string }) => {
  const { value: project, failure, again } = useLoaded(Project, path`/admin/projects/${id}`)
  if (!project) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  return (
    <>
      <p class="row">
        <a href={linkTo('projects')}>← {T.projects.back}</a>
        <a href={linkTo('webhooks', id)}>{T.projects.webhooks}</a>
      </p>
      <p class="row">
        <strong>{project.name}</strong> <code>{project.id}</code>
      </p>
      <Secrets project={project} again={again} />
      <Quotas project={project} again={again} />
    </>
  )
}

const Made = z.object({ id: z.string(), secret: z.optional(z.nullable(z.string())) })

const ProjectList = () => {
  const after = useSignal('')
  const made = useSignal<{ id: string; secret: string } | undefined>(undefined)
  const query = new URLSearchParams({ limit: '50', ...(after.value && { after: after.value }) })
  const { value, failure } = useLoaded(Projects, `/admin/projects?${query}`)
  return (
    <>
      <Card title={T.projects.list}>
        <Table
          failure={failure}
          caption={T.projects.list}
          rows={value?.projects}
          keyOf={({ id }) => id}
          empty={T.projects.none}
          columns={[
            {
              title: T.projects.id,
              show: ({ id }) => (
                <a href={linkTo('projects', id)}>
                  <code>{short(id, 20)}</code>
                </a>
              ),
            },
            { title: T.projects.name, show: ({ name }) => name },
            { title: T.projects.secrets, show: ({ secrets }) => count(secrets.length), isNumber: true },
            { title: T.projects.created, show: ({ createdAt }) => time(createdAt) },
          ]}
        />
        <Pager next={value?.next} after={after} />
      </Card>
      <Card title={T.projects.create}>
        <Form
          button={T.projects.create}
          fields={['id', 'name']}
          submit={async ({ id, name }) => {
            const body = { ...(id && { id }), ...(name && { name }) }
            const project = await ask(Made, ['POST', '/admin/projects'], { body })
            if (project.secret) made.value = { id: project.id, secret: project.secret }
            else go('projects', project.id)
          }}
        >
          <div class="columns">
            <Field name="name" label={T.projects.name} max={128} />
            <Field name="id" label={T.projects.id} hint={T.projects.idHint} />
          </div>
        </Form>
      </Card>
      {made.value && (
        <ShownSecret secret={made.value.secret} close={() => made.value && go('projects', made.value.id)} />
      )}
    </>
  )
}

export const ProjectsView = ({ parts: [id] }: { parts: readonly string[] }) =>
  id ? <OneProject id={id} /> : <ProjectList />
