/** Who wants to know of the secrets that tests make up; nobody, in a browser. Set by `capture/test-process`. */
export const secretListener: { tell: (kind: string, secret: Uint8Array) => void } = { tell: () => {} }
