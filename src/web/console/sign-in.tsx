/** The way in: the admin token, or a passkey where one is registered. */

import * as z from 'zod/mini'
import { ask, isSignedOut } from './core/api.ts'
import { SignedIn, signedIn } from './core/state.ts'
import { T } from './core/texts.ts'
import { Field, Form, Problem, useAction } from './parts/form.tsx'

const enter = (answer: z.output<typeof SignedIn>): void => {
  isSignedOut.value = false
  signedIn.value = answer
}

const withPasskey = async (): Promise<void> => {
  const { proveByPasskey } = await import('./core/passkeys.ts')
  const answer = await proveByPasskey(await ask(z.unknown(), ['POST', '/console/passkeys/ask'], {}))
  enter(await ask(SignedIn, ['POST', '/console/passkeys/session'], { body: { answer } }))
}

export const SignIn = () => {
  const { isBusy, failure, run } = useAction()
  const passkeys = signedIn.value?.passkeys
  return (
    <main class="sign-in">
      <section class="card">
        <img src="/icon.svg" alt="" width="40" height="40" />
        <h1>{T.title}</h1>
        <p class="hint">{T.signIn.about}</p>
        {isSignedOut.value && <Problem text={T.signIn.ended} />}
        {passkeys?.isRegistered && (
          <>
            <button
              type="button"
              class="primary wide"
              disabled={isBusy}
              onClick={() => void run(withPasskey)}
            >
              {T.signIn.withPasskey}
            </button>
            <Problem text={failure?.message} />
            <p class="or">{T.signIn.or}</p>
          </>
        )}
        <Form
          button={T.signIn.withToken}
          submit={async ({ token = '' }) =>
            enter(await ask(SignedIn, ['POST', '/console/session'], { body: { token } }))
          }
        >
          <Field
            {...{ name: 'token', label: T.signIn.token, hint: T.signIn.tokenHint, type: 'password' }}
            autocomplete="current-password"
            isRequired
          />
        </Form>
      </section>
    </main>
  )
}
