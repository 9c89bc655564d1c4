/** A new notification: to accounts or to all, now or later, with how it looks. A broadcast is followed until it ends. */
import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import * as z from 'zod/mini'
import { ask, nothing, path } from '../core/api.ts'
import { useDraft } from '../core/draft.ts'
import { extrasFields, extrasOf, shownExtras } from '../core/extras-draft.ts'
import { count } from '../core/format.ts'
import { newId } from '../core/id.ts'
import { useLoaded } from '../core/poll.ts'
import { type App, Apps, Counts } from '../core/shapes.ts'
import { linkTo } from '../core/state.ts'
import { T } from '../core/texts.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Field, Form, Problem } from '../parts/form.tsx'
import { Funnel } from '../parts/funnel.tsx'
import { More } from '../parts/more.tsx'
import { Preview, type Texts } from '../parts/preview.tsx'
import { Badge, Bar, Card } from '../parts/table.tsx'

const FOLLOW_EVERY_MS = 1_000
const FIELDS = ['domain', 'type', 'title', 'body', 'icon', 'url', 'accounts', 'when']

const AUDIENCES = [
  ['all', T.send.all],
  ['some', T.send.some],
] as const

const Sent = z.object({
  sent: z.array(z.string()),
  failed: z.array(z.object({ account: z.string(), reason: z.string() })),
  not_found: z.array(z.string()),
  scheduled: z.optional(z.array(z.string())),
  notificationId: z.string(),
})
const Started = z.object({ id: z.string(), status: z.string() })
const Progress = z.object({
  status: z.string(),
  total: z.nullable(z.number()),
  handed: z.number(),
  skipped: z.number(),
  counts: Counts,
})

const Following = ({ domain, id }: { domain: string; id: string }) => {
  const { value, failure, again } = useLoaded(
    Progress,
    path`/admin/broadcasts/${domain}/${id}`,
    FOLLOW_EVERY_MS,
  )
  const isOver = value ? ['done', 'cancelled', 'expired'].includes(value.status) : false
  const done = (value?.handed ?? 0) + (value?.skipped ?? 0)
  return (
    <Card title={T.send.broadcast} side={value && <Badge tone={value.status}>{value.status}</Badge>}>
      <Problem text={failure} />
      {value && (
        <>
          <Bar
            part={done / Math.max(1, value.total ?? done)}
            label={T.send.progress(count(done), value.total === null ? '…' : count(value.total))}
          />
          <p>{T.send.progress(count(done), value.total === null ? '…' : count(value.total))}</p>
          <Funnel counts={value.counts} />
          <div class="row">
            <a href={linkTo('notifications', domain, id)}>{T.send.open}</a>
            {!isOver && (
              <Confirm
                {...{ label: T.send.cancelIt, title: T.send.cancelTitle, about: T.send.cancelAbout }}
                action={async () => {
                  await ask(nothing, ['DELETE', path`/admin/broadcasts/${domain}/${id}`])
                  await again()
                }}
              />
            )}
          </div>
        </>
      )}
    </Card>
  )
}

const Outcome = ({ domain, outcome }: { domain: string; outcome: z.output<typeof Sent> }) => (
  <Card title={T.send.outcome}>
    <p class="row">
      <Badge tone="good">{`${T.send.sent} ${outcome.sent.length}`}</Badge>
      {outcome.scheduled && (
        <Badge tone="scheduled">{`${T.send.scheduled} ${outcome.scheduled.length}`}</Badge>
      )}
      {outcome.failed.length > 0 && <Badge tone="bad">{`${T.send.failed} ${outcome.failed.length}`}</Badge>}
      {outcome.not_found.length > 0 && (
        <Badge tone="warn">{`${T.send.notFound} ${outcome.not_found.length}`}</Badge>
      )}
    </p>
    <ul>
      {outcome.failed.map(({ account, reason }) => (
        <li key={account}>
          <code>{account}</code> {reason}
        </li>
      ))}
    </ul>
    {outcome.sent.length + (outcome.scheduled?.length ?? 0) > 0 && (
      <a href={linkTo('notifications', domain, outcome.notificationId)}>{T.send.open}</a>
    )}
  </Card>
)

/** A local time of the form as UTC. */
const dueAt = (when: string | undefined) => (when ? { deliverAt: new Date(when).toISOString() } : {})

const accountsIn = (text: string): string[] => text.split(/[\s,]+/).filter((one) => one !== '')

type Result =
  | { kind: 'sent'; domain: string; outcome: z.output<typeof Sent> }
  | { kind: 'broadcast'; domain: string; id: string }

/** What the notification says. */
const Content = (props: { texts: Texts; edit: (name: keyof Texts) => (value: string) => void }) => {
  const { texts, edit } = props
  const of = (name: keyof Texts) => ({ name, value: texts[name], onInput: edit(name) })
  return (
    <>
      <Field {...of('title')} label={T.send.titleField} isRequired max={64} />
      <Field {...of('body')} label={T.send.body} isRequired rows={3} max={255} />
      <div class="columns">
        <Field {...of('icon')} label={T.send.icon} max={255} />
        <Field {...of('url')} label={T.send.url} max={255} />
      </div>
    </>
  )
}

const FromApp = ({
  apps,
  app,
  domain,
  choose,
}: {
  apps: readonly App[]
  app: App | undefined
  domain: string
  choose: (domain: string) => void
}) => (
  <div class="columns">
    <Field
      {...{ name: 'domain', label: T.send.app, value: domain }}
      options={apps.map((one) => [one.domain, one.domain])}
      onInput={choose}
    />
    <Field
      {...{ name: 'type', label: T.send.type, isRequired: true }}
      options={(app?.types ?? []).map((one) => [one.id, one.name])}
      {...(app?.types.length === 0 && { hint: T.send.noTypes })}
    />
  </div>
)

/** To whom, and when. */
const Audience = ({ audience, choose }: { audience: string; choose: (audience: string) => void }) => (
  <>
    <div class="columns">
      <Field
        {...{ name: 'audience', label: T.send.audience, value: audience }}
        options={AUDIENCES}
        onInput={choose}
      />
      <Field
        {...{ name: 'when', label: T.send.when, type: 'datetime-local' }}
        hint={T.send.whenHint(Intl.DateTimeFormat().resolvedOptions().timeZone)}
      />
    </div>
    {audience === 'some' && (
      <Field
        {...{ name: 'accounts', label: T.send.accounts, hint: T.send.accountsHint, rows: 3 }}
        isRequired
      />
    )}
  </>
)

const Compose = ({ apps, first }: { apps: readonly App[]; first: string | undefined }) => {
  const domain = useSignal(first ?? apps[0]?.domain ?? '')
  const audience = useSignal('all')
  const { texts: draft, extras } = useDraft()
  const result = useSignal<Result | undefined>(undefined)
  // Sent again after a failure it is the same notification.
  const id = useRef(newId())
  const app = apps.find((one) => one.domain === domain.value)
  const edit = (name: keyof Texts) => (value: string) => {
    draft.value = { ...draft.value, [name]: value }
  }

  const send = async (values: Record<string, string>): Promise<void> => {
    const { type = '', title, body, icon, url, when } = values
    const texts = { type, title, body, ...(icon && { icon }), ...(url && { url }) }
    const notification = { ...texts, ...extrasOf(extras.value) }
    const named = { domain: domain.value, notification, notificationId: id.current }
    const common = { ...named, ...dueAt(when) }
    if (audience.value === 'all') {
      const started = await ask(Started, ['POST', '/admin/broadcasts'], { body: common })
      result.value = { kind: 'broadcast', domain: domain.value, id: started.id }
    } else {
      const wanted = { ...common, accounts: accountsIn(values.accounts ?? '') }
      const outcome = await ask(Sent, ['POST', '/admin/notify'], { body: wanted })
      result.value = { kind: 'sent', domain: domain.value, outcome }
    }
    id.current = newId()
  }

  return (
    <div class="beside">
      <Card title={T.send.title}>
        <Form button={T.send.send} fields={[...FIELDS, ...extrasFields(extras.value)]} submit={send}>
          <FromApp
            {...{ apps, app, domain: domain.value }}
            choose={(value) => {
              domain.value = value
            }}
          />
          <Content texts={draft.value} edit={edit} />
          <More
            draft={extras.value}
            change={(part) => {
              extras.value = { ...extras.value, ...part }
            }}
          />
          <Audience
            audience={audience.value}
            choose={(value) => {
              audience.value = value
            }}
          />
        </Form>
      </Card>
      <div>
        <Preview texts={draft.value} extras={shownExtras(extras.value)} app={app} />
        {result.value?.kind === 'sent' && <Outcome {...result.value} />}
        {result.value?.kind === 'broadcast' && <Following {...result.value} />}
      </div>
    </div>
  )
}

export const Send = ({ parts: [domain] }: { parts: readonly string[] }) => {
  const { value, failure } = useLoaded(Apps, '/admin/apps?limit=1000')
  if (!value) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  if (value.apps.length === 0) return <p class="empty">{T.send.noApps}</p>
  return <Compose apps={value.apps} first={domain || undefined} />
}
