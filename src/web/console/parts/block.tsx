/** A button that keeps somebody out for a day. */
import { ask, nothing } from '../core/api.ts'
import { T } from '../core/texts.ts'
import { Confirm } from './dialog.tsx'

const HOURS = 24

export const BlockButton = ({
  kind,
  value,
  done,
}: {
  kind: 'address' | 'client' | 'payer'
  value: string
  done: () => Promise<void>
}) => (
  <Confirm
    label={T.budgets.block}
    title={`${T.budgets.block}: ${T.budgets.kinds[kind]}`}
    about={`${value} (${HOURS} h)`}
    isQuiet
    action={async () => {
      await ask(nothing, ['POST', '/admin/blocks'], { body: { kind, value, hours: HOURS } })
      await done()
    }}
  />
)
