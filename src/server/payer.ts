/** What rows keep of the address that pays for them: equal for equal addresses, and no address. */
import { createHmac } from 'node:crypto'

const PAYER_CHARACTERS = 11

/** 11 characters of base64url, 66 bits of HMAC-SHA256; '' for ''. They change with the secret. */
export const createPayerOf =
  (secret: Uint8Array) =>
  (address: string): string =>
    address === ''
      ? ''
      : createHmac('sha256', secret).update(`payer ${address}`).digest('base64url').slice(0, PAYER_CHARACTERS)
