/** Extras of a notification, as they are kept and moved. */
import * as z from '#schema'
import { type Extras, extrasMembers } from './extras.ts'

export const storedExtras: z.ZodType<Extras> = z.object({
  priority: extrasMembers.priority.exactOptional(),
  image: extrasMembers.image.exactOptional(),
  actions: extrasMembers.actions.exactOptional(),
  tags: extrasMembers.tags.exactOptional(),
  locales: extrasMembers.locales.exactOptional(),
  silent: extrasMembers.silent.exactOptional(),
})
