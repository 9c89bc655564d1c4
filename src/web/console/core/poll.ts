/** What a view shows of the server, asked again and again while somebody sees it. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type * as z from 'zod/mini'
import { ask, Failure } from './api.ts'

export interface Loaded<T> {
  value: T | undefined
  /** Why it is not there, or no longer new. */
  failure: string | undefined
  /** Asks at once, in the operator's name. */
  again: () => Promise<void>
}

/** `everyMs` 0: once. An empty path is not asked for. */
export const useLoaded = <S extends z.ZodMiniType>(
  schema: S,
  path: string,
  everyMs = 0,
): Loaded<z.output<S>> => {
  const value = useSignal<z.output<S> | undefined>(undefined)
  const failure = useSignal<string | undefined>(undefined)
  const asked = useRef(path)
  asked.current = path

  const load = async (isBackground: boolean): Promise<void> => {
    if (path === '') return
    try {
      const answer = await ask(schema, ['GET', path], { isBackground })
      if (asked.current !== path) return
      value.value = answer
      failure.value = undefined
    } catch (error) {
      if (asked.current === path) failure.value = error instanceof Failure ? error.message : String(error)
    }
  }

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let isOver = false
    let isAsked = false
    value.value = undefined
    failure.value = undefined
    const tick = async (isBackground: boolean) => {
      if (document.visibilityState === 'visible') {
        isAsked = true
        await load(isBackground)
      }
      if (!isOver && everyMs > 0) timer = setTimeout(() => void tick(true), everyMs)
    }
    const seen = () => {
      if (document.visibilityState !== 'visible' || (isAsked && everyMs === 0)) return
      // A page that was opened behind others is asked for when it is seen first.
      void load(isAsked)
      isAsked = true
    }
    void tick(false)
    document.addEventListener('visibilitychange', seen)
    return () => {
      isOver = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', seen)
    }
  }, [path, everyMs])

  return { value: value.value, failure: failure.value, again: () => load(false) }
}
