/** What a setting is, and the values that several settings are made of. */
import * as z from 'zod'
import { withoutTrailingSlashes } from '../../../protocol/urls.ts'

export interface Setting<S extends z.ZodType = z.ZodType> {
  schema: S
  /** Name in the environment. */
  env: string
  /** Flag without the dashes; absent for what must not be seen in a list of processes. */
  flag?: string
  /** How `--help` shows the value. */
  hint: string
  /** Ends the sentence "PORT must be …". */
  must: string
  about: string
  /** How the default is described where it is worked out later. */
  fallback?: string
  isSecret?: true
}

export const setting = <S extends z.ZodType>(one: Setting<S>): Setting<S> => one

/** A URL of one of the protocols (`https:`), without user, query and fragment. */
export const isUrl = (text: string, protocols: readonly string[]): boolean => {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return protocols.includes(protocol) && !username && !password && !search && !hash
}
/** Such a URL, without slashes at its end. */
export const url = (...protocols: string[]) =>
  z
    .string()
    .refine((text) => isUrl(text, protocols))
    .transform((text) => withoutTrailingSlashes(text))

/** `a,b` or, in a file, `["a", "b"]`. */
export const list = <S extends z.ZodType<unknown, string>>(item: S) =>
  z
    .union([z.array(z.string()), z.string().transform((text) => text.split(','))])
    .transform((items) => items.map((one) => one.trim()).filter((one) => one !== ''))
    .pipe(z.array(item))
