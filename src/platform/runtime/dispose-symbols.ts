/**
 * `Symbol.dispose` and `Symbol.asyncDispose`, for browsers that do not have them yet. Imported, for this alone, by whatever
 * a browser starts from: without them every `[Symbol.dispose]` is a property named "undefined", and `using` throws.
 */
for (const name of ['dispose', 'asyncDispose']) {
  if (!(name in Symbol)) Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) })
}

export {}
