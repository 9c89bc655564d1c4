/**
 * What is derived from the one secret. Project secrets are, so that the operator can be shown them again while the store
 * holds hashes only; and so is the id of the default project, so that every process of an installation knows it.
 */
import { createHmac } from 'node:crypto'

const derive = (secret: Uint8Array, purpose: string): Buffer =>
  createHmac('sha256', secret).update(`belfry ${purpose}`).digest()

export const projectSecret = (secret: Uint8Array, projectId: string): string =>
  derive(secret, `project secret ${projectId}`).toString('base64url')

export const defaultProjectId = (secret: Uint8Array): string =>
  derive(secret, 'default project').subarray(0, 16).toString('hex')
