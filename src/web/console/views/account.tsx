/** The operator's own: passkeys and sessions. */
import * as z from 'zod/mini'
import { ask, nothing, path } from '../core/api.ts'
import { time } from '../core/format.ts'
import { useLoaded } from '../core/poll.ts'
import { loadSession, Sessions, signedIn } from '../core/state.ts'
import { T } from '../core/texts.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Field, Form } from '../parts/form.tsx'
import { Badge, Card, Table } from '../parts/table.tsx'

const Passkeys = z.object({
  passkeys: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      createdAt: z.nullable(z.string()),
      usedAt: z.nullable(z.string()),
    }),
  ),
  unavailable: z.nullable(z.string()),
})

const addPasskey = async (name: string): Promise<void> => {
  const { makePasskey } = await import('../core/passkeys.ts')
  const answer = await makePasskey(await ask(z.unknown(), ['POST', '/console/passkeys/begin'], {}))
  await ask(nothing, ['POST', '/console/passkeys'], { body: { name, answer } })
}

const PasskeyCard = () => {
  const { value, failure, again } = useLoaded(Passkeys, '/console/passkeys')
  return (
    <Card title={T.account.passkeys}>
      <Table
        failure={failure ?? value?.unavailable ?? undefined}
        caption={T.account.passkeys}
        rows={value?.passkeys}
        keyOf={({ id }) => id}
        empty={T.account.none}
        columns={[
          { title: T.projects.name, show: ({ name }) => name },
          { title: T.account.added, show: ({ createdAt }) => time(createdAt) },
          { title: T.account.lastUsed, show: ({ usedAt }) => (usedAt ? time(usedAt) : T.never) },
          {
            title: '',
            show: ({ id, name }) => (
              <Confirm
                {...{ label: T.account.remove, title: T.account.removeTitle, about: T.account.removeAbout }}
                {...{ typed: name, isQuiet: true }}
                action={async () => {
                  await ask(nothing, ['DELETE', path`/console/passkeys/${id}`])
                  await again()
                }}
              />
            ),
          },
        ]}
      />
      {value?.unavailable === null && (
        <Form
          button={T.account.add}
          fields={['name']}
          submit={async ({ name = '' }, form) => {
            await addPasskey(name)
            form.reset()
            await again()
          }}
        >
          <Field name="name" label={T.account.name} hint={T.account.nameHint} isRequired max={64} />
        </Form>
      )}
    </Card>
  )
}

const SessionCard = () => {
  const { value, failure, again } = useLoaded(Sessions, '/console/sessions')
  const own = signedIn.value?.session?.id
  return (
    <Card title={T.account.sessions}>
      <Table
        failure={failure}
        caption={T.account.sessions}
        rows={value?.sessions}
        keyOf={({ id }) => id}
        empty=""
        columns={[
          {
            title: T.account.method,
            show: ({ id, method, passkey }) => (
              <>
                {passkey === '' ? method : `${method} ${passkey}`}{' '}
                {id === own && <Badge tone="good">{T.account.this}</Badge>}
              </>
            ),
          },
          { title: T.account.from, show: ({ address }) => <code class="whole">{address}</code> },
          { title: T.account.began, show: ({ createdAt }) => time(createdAt) },
          { title: T.account.used, show: ({ usedAt }) => time(usedAt) },
          { title: T.account.ends, show: ({ expiresAt }) => time(expiresAt) },
          {
            title: '',
            show: ({ id }) => (
              <Confirm
                {...{
                  label: T.account.end,
                  title: T.account.endTitle,
                  about: T.account.endAbout,
                  isQuiet: true,
                }}
                action={async () => {
                  await ask(nothing, ['DELETE', path`/console/sessions/${id}`])
                  if (id === own) await loadSession()
                  else await again()
                }}
              />
            ),
          },
        ]}
      />
    </Card>
  )
}

export const Account = () => (
  <>
    <PasskeyCard />
    <SessionCard />
  </>
)
