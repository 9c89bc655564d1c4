/**
 * The setting that says where in the operator's own network hosts may be that somebody else names, by purpose:
 * `keys=keys.internal:8080,10.1.0.0/16; webhooks=hooks.internal`. One plain list stands for all purposes.
 *
 * There is no purpose for the webhooks of relay clients: they are anonymous, and never lead inside.
 */
import * as z from 'zod'
import { isAddressRule } from '../../../platform/net/public-address.ts'

const items = (text: string): string[] => {
  const all = text.split(',').map((one) => one.trim())
  return all.filter((one) => one !== '' && one !== 'false')
}

const rules = z.array(z.string().refine(isAddressRule)).default([])
const ByPurpose = z.strictObject({ keys: rules, webhooks: rules, did: rules, push: rules })
type ByPurpose = z.infer<typeof ByPurpose>

const everywhere = (list: readonly string[]): ByPurpose => ({
  keys: [...list],
  webhooks: [...list],
  did: [...list],
  push: [...list],
})

const parts = (text: string): unknown => {
  if (!text.includes('=')) return everywhere(items(text))
  const lists: Record<string, string[]> = {}
  for (const part of text.split(';')) {
    if (part.trim() === '') continue
    const at = part.indexOf('=')
    // What is no purpose is refused by the schema.
    const purpose = part.slice(0, Math.max(at, 0)).trim()
    lists[purpose] = [...(lists[purpose] ?? []), ...items(part.slice(at + 1))]
  }
  return lists
}

const list = z.union([z.string().transform(items), z.array(z.string())])
const inFile = z.strictObject({
  keys: list.optional(),
  webhooks: list.optional(),
  did: list.optional(),
  push: list.optional(),
})

export const PrivateAddresses = z
  .union([
    z.boolean().transform((all): unknown => everywhere(all ? ['true'] : [])),
    z.string().transform(parts),
    z.array(z.string()).transform((all): unknown => everywhere(all)),
    inFile,
  ])
  .pipe(ByPurpose)
  .default(everywhere([]))
