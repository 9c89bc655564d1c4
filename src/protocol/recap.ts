/**
 * Recaps (ERC-5573): what a signer allows somebody, as the last resource of a CACAO and as a sentence in the signed
 * text. `urn:recap:` + base64url of `{"att":{uri:{"namespace/ability":[{…}]}}}`.
 */
import * as z from '#schema'
import { fromBase64url, fromUtf8, toBase64url, utf8 } from './bytes.ts'
import { ProtocolError } from './errors.ts'

const URN = 'urn:recap:'
export const RECAP_PREAMBLE =
  'I further authorize the stated URI to perform the following actions on my behalf: '

// No line breaks, as in a CACAO's own fields: what is read here becomes a line of the signed text.
const uri = z.string().regex(/^[^\r\n]*$/)
const ability = z.string().regex(/^[^/\r\n]+\/[^/\r\n]+$/)
const limits = z.array(z.record(z.string(), z.unknown())).min(1)
const recapSchema = z.object({ att: z.record(uri, z.record(ability, limits)) })

/** For each URI, the abilities (`namespace/ability`) and their limits. */
export type Recap = z.infer<typeof recapSchema>

export const encodeRecap = (recap: Recap): string => URN + toBase64url(utf8(JSON.stringify(recap)))

/**
 * The recap of a list of resources; undefined when there is none. Throws `identity_invalid` when there is more than
 * one, when it is not the last resource, and when it cannot be read: a signer who was shown a recap must not be
 * treated as one who was not.
 */
export const parseRecap = (resources: readonly string[] | undefined): Recap | undefined => {
  const recaps = resources?.filter((resource) => resource.startsWith(URN)) ?? []
  const [recap] = recaps
  if (recap === undefined) return undefined
  if (recaps.length > 1) throw new ProtocolError('identity_invalid', 'it has more than one recap')
  if (resources?.[resources.length - 1] !== recap) {
    throw new ProtocolError('identity_invalid', 'its recap is not the last resource')
  }
  try {
    return recapSchema.parse(JSON.parse(fromUtf8(fromBase64url(recap.slice(URN.length)))))
  } catch {
    throw new ProtocolError('identity_invalid', 'its recap cannot be read')
  }
}

/**
 * The sentence that a recap is in the signed text, exactly as published clients write it: abilities sorted as
 * `localeCompare` does, grouped by namespace, and only the first `.,` of a URI made a `.`.
 */
export const recapStatement = (recap: Recap): string => {
  let count = 0
  const sentences = Object.entries(recap.att).map(([uri, abilities]) => {
    const byNamespace = new Map<string, string[]>()
    const pairs = Object.keys(abilities).map((name) => name.split('/'))
    for (const [namespace = '', action = ''] of pairs.sort(([, a = ''], [, b = '']) => a.localeCompare(b))) {
      const actions = byNamespace.get(namespace)
      if (actions) actions.push(action)
      else byNamespace.set(namespace, [action])
    }
    return [...byNamespace]
      .map(([namespace, actions]) => `(${++count}) '${namespace}': '${actions.join("', '")}' for '${uri}'.`)
      .join(', ')
      .replace('.,', '.')
  })
  return RECAP_PREAMBLE + sentences.join(' ')
}
