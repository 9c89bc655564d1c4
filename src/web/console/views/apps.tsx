/** Apps: what they declare, who is subscribed, their keys. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask, nothing, path } from '../core/api.ts'
import { count, short, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { App, Apps } from '../core/shapes.ts'
import { go, linkTo } from '../core/state.ts'
import { T } from '../core/texts.ts'
import { Confirm, Copy } from '../parts/dialog.tsx'
import { Field, Form, Problem } from '../parts/form.tsx'
import { Card, Pager, Table } from '../parts/table.tsx'

const PAGE_SIZE = 50
const KEY_OVERLAP_S = 30 * 86_400
const FIELDS = ['domain', 'project', 'name', 'description', 'url', 'types', 'icon']

/** `id = name` or a name, one a line. A type that is known keeps its description. */
const typesIn = (text: string, known: App['types']) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const at = line.indexOf('=')
      if (at < 0) return { name: line }
      const [id, name] = [line.slice(0, at).trim(), line.slice(at + 1).trim()]
      return { id, name, description: known.find((one) => one.id === id)?.description ?? '' }
    })

const declared = (values: Record<string, string>, app?: App) => ({
  ...{ name: values.name ?? '', description: values.description ?? '', url: values.url ?? '' },
  types: typesIn(values.types ?? '', app?.types ?? []),
  // Three sizes may be three pictures: they stay unless another one is named.
  ...(values.icon !== (app?.icons.md ?? '') && {
    icons: { sm: values.icon, md: values.icon, lg: values.icon },
  }),
  ...{ listed: values.listed === 'on', links: values.links === 'on' },
})

const Tick = ({ name, label, isOn }: { name: string; label: string; isOn: boolean }) => (
  <label class="tick">
    <input type="checkbox" name={name} defaultChecked={isOn} />
    {label}
  </label>
)

const Declaration = ({ app }: { app?: App }) => (
  <>
    <div class="columns">
      <Field name="name" label={T.apps.name} value={app?.name ?? ''} max={128} />
      <Field name="url" label={T.apps.url} value={app?.url ?? ''} max={255} />
    </div>
    <Field name="description" label={T.apps.description} value={app?.description ?? ''} max={1024} />
    <Field
      {...{ name: 'types', label: T.apps.types, hint: T.apps.typesHint, rows: 3 }}
      value={(app?.types ?? []).map(({ id, name }) => `${id} = ${name}`).join('\n')}
    />
    <Field name="icon" label={T.apps.icon} value={app?.icons.md ?? ''} max={255} />
    <div class="row">
      <Tick name="listed" label={T.apps.listed} isOn={app?.listed ?? false} />
      <Tick name="links" label={T.apps.links} isOn={app?.links ?? false} />
    </div>
  </>
)

const Subscribers = z.object({
  subscribers: z.array(z.object({ account: z.string(), types: z.array(z.string()), expiresAt: z.string() })),
  next: z.nullable(z.string()),
})

const SubscriberList = ({ domain }: { domain: string }) => {
  const after = useSignal('')
  const query = new URLSearchParams({ limit: `${PAGE_SIZE}`, ...(after.value && { after: after.value }) })
  const { value, failure } = useLoaded(Subscribers, `${path`/admin/apps/${domain}/subscribers`}?${query}`)
  return (
    <Card title={T.apps.subscribers}>
      <Table
        failure={failure}
        caption={T.apps.subscribers}
        rows={value?.subscribers}
        keyOf={({ account }) => account}
        empty={T.apps.subscribersNone}
        columns={[
          { title: T.apps.account, show: ({ account }) => <code title={account}>{short(account, 30)}</code> },
          { title: T.apps.types, show: ({ types }) => types.join(', ') },
          { title: T.apps.until, show: ({ expiresAt }) => time(expiresAt) },
        ]}
      />
      <Pager next={value?.next} after={after} />
    </Card>
  )
}

const Keys = ({ app, again }: { app: App; again: () => Promise<void> }) => (
  <Card title={T.apps.keys}>
    <dl class="pairs">
      <dt>{T.apps.authenticationKey}</dt>
      <dd>
        <code>{app.authenticationKey}</code> <Copy text={app.authenticationKey} />
      </dd>
      <dt>{T.apps.subscribeKey}</dt>
      <dd>
        <code>{app.subscribeKey}</code> <Copy text={app.subscribeKey} />
      </dd>
    </dl>
    <div class="row">
      <Confirm
        {...{ label: T.apps.rotate, title: T.apps.rotate, about: T.apps.rotateAbout, isQuiet: true }}
        action={async () => {
          const body = { domain: app.domain, overlap: KEY_OVERLAP_S }
          await ask(nothing, ['POST', '/admin/rotate/app'], { body })
          await again()
        }}
      />
      <Confirm
        {...{ label: T.apps.remove, title: T.apps.remove, about: T.apps.removeAbout, typed: app.domain }}
        isQuiet
        action={async () => {
          await ask(nothing, ['DELETE', path`/admin/apps/${app.domain}`])
          go('apps')
        }}
      />
    </div>
  </Card>
)

const OneApp = ({ domain }: { domain: string }) => {
  const isSaved = useSignal(false)
  const { value: app, failure, again } = useLoaded(App, path`/admin/apps/${domain}`)
  if (!app) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  return (
    <>
      <p class="row">
        <a href={linkTo('apps')}>← {T.apps.back}</a>
        <a href={linkTo('send', domain)}>{T.apps.send}</a>
        <a href={linkTo('notifications', domain)}>{T.views.notifications}</a>
      </p>
      <Card
        title={app.domain}
        side={<span class="quiet">{`${T.apps.subscribers}: ${count(app.subscribers)}`}</span>}
      >
        <Form
          button={T.apps.save}
          fields={FIELDS}
          submit={async (values) => {
            isSaved.value = false
            await ask(nothing, ['PUT', path`/admin/apps/${domain}`], { body: declared(values, app) })
            isSaved.value = true
            await again()
          }}
        >
          <Declaration app={app} />
        </Form>
        {isSaved.value && <p role="status">{T.apps.saved}</p>}
      </Card>
      <Keys app={app} again={again} />
      <SubscriberList domain={domain} />
    </>
  )
}

const NewApp = () => (
  <Card title={T.apps.create}>
    <Form
      button={T.apps.create}
      fields={FIELDS}
      submit={async (values) => {
        const { domain = '', project } = values
        const body = { domain, ...(project && { project }), ...declared(values) }
        await ask(nothing, ['POST', '/admin/apps'], { body })
        go('apps', domain)
      }}
    >
      <div class="columns">
        <Field name="domain" label={T.apps.domain} hint={T.apps.domainHint} isRequired />
        <Field name="project" label={T.apps.project} hint={T.apps.projectHint} />
      </div>
      <Declaration />
    </Form>
  </Card>
)

const AppList = () => {
  const after = useSignal('')
  const query = new URLSearchParams({ limit: `${PAGE_SIZE}`, ...(after.value && { after: after.value }) })
  const { value, failure } = useLoaded(Apps, `/admin/apps?${query}`)
  return (
    <>
      <Card title={T.apps.list}>
        <Table
          failure={failure}
          caption={T.apps.list}
          rows={value?.apps}
          keyOf={({ domain }) => domain}
          empty={T.apps.none}
          columns={[
            { title: T.apps.domain, show: ({ domain }) => <a href={linkTo('apps', domain)}>{domain}</a> },
            { title: T.apps.name, show: ({ name }) => name },
            {
              title: T.apps.project,
              show: ({ projectId }) => (
                <a href={linkTo('projects', projectId)}>
                  <code class="whole">{short(projectId, 14)}</code>
                </a>
              ),
            },
            { title: T.apps.types, show: ({ types }) => types.map(({ name }) => name).join(', ') },
            { title: T.apps.listed, show: ({ listed }) => (listed ? T.yes : T.no) },
          ]}
        />
        <Pager next={value?.next} after={after} />
      </Card>
      <NewApp />
    </>
  )
}

export const AppsView = ({ parts: [domain] }: { parts: readonly string[] }) =>
  domain ? <OneApp domain={domain} /> : <AppList />
