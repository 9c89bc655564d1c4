import { useSignal } from '@preact/signals'
import { usePage } from '../context.ts'

/** Runs one thing at a time, and tells the reader when it fails. */
export const useAction = () => {
  const { tell, problem } = usePage()
  const isBusy = useSignal(false)
  const run = async (work: () => Promise<unknown>): Promise<void> => {
    if (isBusy.value) return
    isBusy.value = true
    problem.value = undefined
    try {
      await work()
    } catch (error) {
      tell(error)
    } finally {
      isBusy.value = false
    }
  }
  return { isBusy, run }
}
