/** Forms: labels, errors beside their fields, one submit at a time. */
import { useSignal } from '@preact/signals'
import { type ComponentChildren, type ComponentProps, createContext } from 'preact'
import { useContext, useId } from 'preact/hooks'
import { Failure } from '../core/api.ts'
import { T } from '../core/texts.ts'

/** What the server refused, and the name of the field that it is about. */
interface Wrong {
  failure: Failure | undefined
  named: string | undefined
}
const FormFailure = createContext<Wrong>({ failure: undefined, named: undefined })

const failureOf = (error: unknown): Failure =>
  error instanceof Failure ? error : new Failure(error instanceof Error ? error.message : String(error), 0)

/** Runs an action and keeps why it failed. */
export const useAction = () => {
  const isBusy = useSignal(false)
  const failure = useSignal<Failure | undefined>(undefined)
  const run = async (action: () => Promise<unknown>): Promise<void> => {
    if (isBusy.value) return
    isBusy.value = true
    failure.value = undefined
    try {
      await action()
    } catch (error) {
      failure.value = failureOf(error)
    } finally {
      isBusy.value = false
    }
  }
  return { isBusy: isBusy.value, failure: failure.value, run }
}

export const Problem = ({ text }: { text: string | undefined }) =>
  text === undefined ? null : (
    <p class="problem" role="alert">
      {text}
    </p>
  )

interface FormProps {
  /** What the fields hold, as text. */
  submit: (values: Record<string, string>, form: HTMLFormElement) => Promise<unknown>
  button: string
  isDanger?: boolean
  children: ComponentChildren
  /** Names of the fields that show their own errors. */
  fields?: readonly string[]
}

/**
 * The name of the field that a failure is about: its path as the form names it (`actions[0].url`), else the last part of it,
 * without an index.
 */
const namedBy = (failure: Failure | undefined, fields: readonly string[]): string | undefined => {
  const path = failure?.field?.replace(/^notification\./, '')
  const known = [path, path?.replace(/\[\d+\]$/, '')].find((one) => one !== undefined && fields.includes(one))
  const last = path
    ?.split('.')
    .at(-1)
    ?.replace(/\[\d+\]$/, '')
  return known ?? last
}

/** Why the server refused what the field holds. Beside its field a sentence need not name it. */
const useReason = (name: string): string | undefined => {
  const { failure, named } = useContext(FormFailure)
  return named === name ? failure?.message.split(`${failure.field}: `).at(-1) : undefined
}

/** Which field is wrong; anew for each answer of the server. */
export const useWrong = (): Wrong => useContext(FormFailure)

/** What is wrong with several fields together. */
export const GroupProblem = ({ name }: { name: string }) => <Problem text={useReason(name)} />

export const Form = ({ submit, button, isDanger = false, children, fields = [] }: FormProps) => {
  const { isBusy, failure, run } = useAction()
  const named = namedBy(failure, fields)
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        const form = event.currentTarget
        const values = Object.fromEntries(
          [...new FormData(form)].map(([name, value]) => [
            name,
            typeof value === 'string' ? value.trim() : '',
          ]),
        )
        void run(() => submit(values, form))
      }}
    >
      <FormFailure.Provider value={{ failure, named }}>{children}</FormFailure.Provider>
      {failure && !fields.includes(named ?? '') && <Problem text={failure.message} />}
      <div class="row">
        <button class={isDanger ? 'danger' : 'primary'} type="submit" disabled={isBusy}>
          {isBusy ? T.busy : button}
        </button>
      </div>
    </form>
  )
}

interface FieldProps {
  name: string
  label: string
  hint?: string
  type?: 'text' | 'password' | 'number' | 'datetime-local'
  value?: string
  isRequired?: boolean
  rows?: number
  max?: number
  options?: readonly (readonly [value: string, text: string])[]
  onInput?: (value: string) => void
  autocomplete?: 'off' | 'current-password'
}

type InputGiven = Pick<
  ComponentProps<'input'>,
  'id' | 'name' | 'required' | 'aria-invalid' | 'aria-describedby' | 'maxLength' | 'value' | 'autocomplete'
> & { onInput: (event: { currentTarget: { value: string } }) => void }

const Input = ({ type, given }: { type: NonNullable<FieldProps['type']>; given: InputGiven }) => {
  if (type === 'password') return <input {...given} type="password" />
  if (type === 'number') return <input {...given} type="number" />
  if (type === 'datetime-local') return <input {...given} type="datetime-local" />
  return <input {...given} type="text" />
}

export const Field = (props: FieldProps) => {
  const { name, label, hint, type = 'text', value, isRequired = false, rows, max, options, onInput } = props
  const { autocomplete = 'off' } = props
  const id = useId()
  const reason = useReason(name)
  const isWrong = reason !== undefined
  const common = {
    ...{ id, name, required: isRequired, 'aria-invalid': isWrong },
    ...((isWrong || hint !== undefined) && { 'aria-describedby': `${id}-about` }),
    onInput: (event: { currentTarget: { value: string } }) => onInput?.(event.currentTarget.value),
  }
  const length = max === undefined ? {} : { maxLength: max }
  const given = value === undefined ? {} : { value }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {options ? (
        <select {...common} {...given}>
          {options.map(([key, text]) => (
            <option key={key} value={key} selected={key === value}>
              {text}
            </option>
          ))}
        </select>
      ) : rows !== undefined ? (
        <textarea {...common} {...length} {...given} rows={rows} />
      ) : (
        <Input type={type} given={{ ...common, ...length, ...given, autocomplete }} />
      )}
      {(isWrong || hint !== undefined) && (
        <small id={`${id}-about`} class={isWrong ? 'problem' : 'hint'}>
          {reason ?? hint}
        </small>
      )}
    </div>
  )
}
