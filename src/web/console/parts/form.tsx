/** Forms: labels, errors beside their fields, one submit at a time. */
import { useSignal } from '@preact/signals'
import { type ComponentChildren, type ComponentProps, createContext } from 'preact'
import { useContext, useId } from 'preact/hooks'
import { Failure } from '../core/api.ts'
import { T } from '../core/texts.ts'

const FormFailure = createContext<Failure | undefined>(undefined)

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

/** The name of a field that a failure is about: the last part of its path, without an index. */
export const fieldOf = (failure: Failure | undefined): string | undefined =>
  failure?.field
    ?.split('.')
    .at(-1)
    ?.replace(/\[\d+\]$/, '')

/** Beside its field a sentence need not name it. */
const reasonOf = (failure: Failure | undefined): string | undefined =>
  failure?.message.split(`${failure.field}: `).at(-1)

export const Form = ({ submit, button, isDanger = false, children, fields = [] }: FormProps) => {
  const { isBusy, failure, run } = useAction()
  const named = fieldOf(failure)
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
      <FormFailure.Provider value={failure}>{children}</FormFailure.Provider>
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
  const failure = useContext(FormFailure)
  const isWrong = fieldOf(failure) === name
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
          {isWrong ? reasonOf(failure) : hint}
        </small>
      )}
    </div>
  )
}
