/** What became of notifications: the funnel of each, and every account with why. */
import { useSignal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask, nothing, path } from '../core/api.ts'
import { count, short, time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { Apps, Notification, Notifications } from '../core/shapes.ts'
import { go, linkTo } from '../core/state.ts'
import { T } from '../core/texts.ts'
import { Confirm } from '../parts/dialog.tsx'
import { ShownExtras } from '../parts/extras.tsx'
import { Field, Problem } from '../parts/form.tsx'
import { Answers, Funnel } from '../parts/funnel.tsx'
import { Badge, Card, Pager, Table } from '../parts/table.tsx'

const EVERY_MS = 1_000

const Receipts = z.object({
  receipts: z.array(
    z.object({
      account: z.string(),
      state: z.string(),
      reason: z.optional(z.string()),
      at: z.string(),
      push: z.optional(z.object({ state: z.string(), provider: z.string(), reason: z.optional(z.string()) })),
      answer: z.optional(z.object({ action: z.string(), at: z.string() })),
    }),
  ),
  next: z.nullable(z.string()),
})

type Receipt = z.output<typeof Receipts>['receipts'][number]

const PushState = ({ push: { state, provider, reason } }: { push: NonNullable<Receipt['push']> }) => (
  <span>
    <Badge tone={state}>{state}</Badge> {provider} {reason}
  </span>
)

const ByAccount = ({ base, isAsking }: { base: string; isAsking: boolean }) => {
  const after = useSignal('')
  const state = useSignal('')
  const query = new URLSearchParams({
    ...{ limit: '50' },
    ...(after.value && { after: after.value }),
    ...(state.value && { state: state.value }),
  })
  const { value, failure } = useLoaded(Receipts, `${base}/receipts?${query}`, EVERY_MS)
  const { states } = T.notifications
  return (
    <Card title={T.notifications.receipts}>
      <Field
        {...{ name: 'state', label: T.notifications.which }}
        options={[
          ['', T.notifications.all],
          ...(['queued', 'published', 'delivered', 'read', 'failed'] as const).map(
            (one) => [one, states[one]] as const,
          ),
        ]}
        onInput={(wanted) => {
          state.value = wanted
          after.value = ''
        }}
      />
      <Table
        failure={failure}
        caption={T.notifications.receipts}
        rows={value?.receipts}
        keyOf={({ account }) => account}
        empty={T.notifications.receiptsNone}
        columns={[
          {
            title: T.notifications.account,
            show: ({ account }) => <code title={account}>{short(account, 30)}</code>,
          },
          { title: T.notifications.state, show: (one) => <Badge tone={one.state}>{one.state}</Badge> },
          { title: T.notifications.reason, show: ({ reason }) => reason ?? '' },
          {
            title: T.notifications.push,
            show: ({ push }) => (push ? <PushState push={push} /> : '–'),
          },
          ...(isAsking
            ? [
                {
                  title: T.notifications.answer,
                  show: ({ answer }: Receipt) =>
                    answer ? T.notifications.answered(answer.action, time(answer.at)) : '–',
                },
              ]
            : []),
          { title: T.notifications.at, show: ({ at }) => time(at) },
        ]}
      />
      <Pager next={value?.next} after={after} />
    </Card>
  )
}

/** What is blank cannot be clicked on. */
const titleOf = ({ title }: { title: string }, id: string): string => (title.trim() === '' ? id : title)

const One = ({ domain, id }: { domain: string; id: string }) => {
  const base = path`/admin/apps/${domain}/notifications/${id}`
  const { value, failure, again } = useLoaded(Notification, base, EVERY_MS)
  if (!value) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  const { notification, status, counts, push, answers } = value
  return (
    <>
      <p>
        <a href={linkTo('notifications', domain)}>← {T.notifications.back}</a>
      </p>
      <Card title={titleOf(notification, id)} side={<Badge tone={status}>{status}</Badge>}>
        <Problem text={failure} />
        <p>{notification.body}</p>
        <ShownExtras extras={notification} />
        <p class="quiet">
          {domain} · {notification.type} ·{' '}
          {value.deliver_at ? `${T.notifications.due} ${time(value.deliver_at)}` : time(value.created_at)} ·{' '}
          <code>{id}</code>
        </p>
        {(status === 'queued' || status === 'scheduled') && (
          <div class="row">
            <Confirm
              {...{ label: T.notifications.cancelIt, title: T.notifications.cancelTitle }}
              about={T.notifications.cancelAbout}
              action={async () => {
                await ask(nothing, ['DELETE', base])
                await again()
              }}
            />
          </div>
        )}
      </Card>
      <Card title={T.notifications.funnel}>
        <Funnel counts={counts} push={push} />
        {answers && (
          <Answers
            answers={answers}
            of={Object.values(counts).reduce((sum, some) => sum + some, 0)}
            titles={new Map(notification.actions?.map(({ id: action, title }) => [action, title]))}
          />
        )}
      </Card>
      <ByAccount base={base} isAsking={answers !== undefined} />
    </>
  )
}

const List = ({ domain }: { domain: string }) => {
  const after = useSignal('')
  const status = useSignal('')
  const query = new URLSearchParams({
    ...{ limit: '20' },
    ...(after.value && { after: after.value }),
    ...(status.value && { status: status.value }),
  })
  const listPath = `${path`/admin/apps/${domain}/notifications`}?${query}`
  const { value, failure } = useLoaded(Notifications, listPath, EVERY_MS)
  return (
    <Card title={T.notifications.list}>
      <Field
        {...{ name: 'which', label: T.notifications.which }}
        options={[
          ['', T.notifications.sent],
          ['scheduled', T.notifications.scheduled],
        ]}
        onInput={(wanted) => {
          status.value = wanted
          after.value = ''
        }}
      />
      <Table
        failure={failure}
        caption={T.notifications.list}
        rows={value?.notifications}
        keyOf={({ notification_id }) => notification_id}
        empty={T.notifications.none}
        columns={[
          {
            title: T.send.titleField,
            show: ({ notification_id, notification }) => (
              <a href={linkTo('notifications', domain, notification_id)}>
                {titleOf(notification, notification_id)}
              </a>
            ),
          },
          { title: T.notifications.status, show: (one) => <Badge tone={one.status}>{one.status}</Badge> },
          {
            title: T.notifications.created,
            show: ({ created_at, deliver_at }) => time(created_at ?? deliver_at),
          },
          ...(['queued', 'published', 'delivered', 'read', 'failed'] as const).map((state) => ({
            title: T.notifications.states[state],
            show: ({ counts }: Notification) => count(counts[state]),
            isNumber: true,
          })),
        ]}
      />
      <Pager next={value?.next} after={after} />
    </Card>
  )
}

export const NotificationsView = ({ parts: [domain, id] }: { parts: readonly string[] }) => {
  const { value, failure } = useLoaded(Apps, '/admin/apps?limit=1000')
  if (!value) return failure === undefined ? <p class="hint">{T.loading}</p> : <Problem text={failure} />
  const chosen = domain || value.apps[0]?.domain
  if (!chosen) return <p class="empty">{T.send.noApps}</p>
  if (id) return <One domain={chosen} id={id} />
  return (
    <>
      <Field
        {...{ name: 'app', label: T.notifications.app, value: chosen }}
        options={value.apps.map((app) => [app.domain, app.domain])}
        onInput={(wanted) => go('notifications', wanted)}
      />
      <List domain={chosen} />
    </>
  )
}
