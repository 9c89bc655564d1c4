/**
 * Projects as the operator makes them: their secrets are derived, so they can always be shown again.
 */
import type { Apps } from '../../notify/apps/apps.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { defaultProjectId, projectSecret } from '../config/secrets.ts'

export interface Projects {
  /** The project that apps belong to unless another one is named. */
  readonly defaultId: string
  /** Makes the project unless it is there. Answers its secret; null when it was made with another one. */
  ensure(id: string, name?: string): Promise<string | null>
  /** Whether `ensure` would make it. */
  create(id: string, name?: string): Promise<boolean>
}

export const createProjects = (
  apps: Pick<Apps, 'createProject' | 'authenticate'>,
  secret: Uint8Array,
): Projects => {
  const create: Projects['create'] = async (id, name = '') => {
    try {
      await apps.createProject({ id, name, secret: projectSecret(secret, id) })
      return true
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'conflict') return false
      throw error
    }
  }
  return {
    defaultId: defaultProjectId(secret),
    create,
    async ensure(id, name) {
      await create(id, name)
      const derived = projectSecret(secret, id)
      try {
        await apps.authenticate(id, derived)
        return derived
      } catch (error) {
        if (error instanceof ProtocolError && error.code === 'unauthenticated') return null
        throw error
      }
    },
  }
}
