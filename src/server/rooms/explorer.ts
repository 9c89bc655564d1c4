/** The list of wallets, put together: the operator's file is read at the start. */
import { readFileSync, statSync } from 'node:fs'
import type { Hono } from 'hono'
import * as z from 'zod'
import { explorerRoutes } from '../../explorer/http.ts'
import { type Listing, WalletsFile } from '../../explorer/schema.ts'
import { MIB_BYTES } from '../../platform/units.ts'
import { StartError } from '../config/start-error.ts'
import type { RoomContext } from '../context.ts'

const MAX_FILE_BYTES = 8 * MIB_BYTES

const readWallets = (file: string): Listing[] => {
  const refuse = (reason: string, cause?: unknown): StartError =>
    new StartError([`BELFRY_WALLETS: ${file} ${reason}.`], { cause })
  let content: unknown
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw refuse('is larger than 8 MiB')
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof StartError) throw error
    throw refuse(error instanceof SyntaxError ? 'is no JSON' : 'cannot be read', error)
  }
  const { data, error } = WalletsFile.safeParse(content)
  if (data) return data
  throw refuse(`is no list of wallets: ${z.prettifyError(error).split('\n').slice(0, 4).join(' ')}`)
}

/** Undefined where the operator names no file. */
export const buildExplorer = ({ config, log, payerFor }: RoomContext): Hono | undefined =>
  config.wallets === undefined
    ? undefined
    : explorerRoutes({ log, payerFor }, { wallets: readWallets(config.wallets) })
