// Reads which names a module exports, and where each is declared, over all re-exports: for the checks of what the package exports.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseSync } from 'oxc-parser'

/** The declarations in a statement, as name and node. */
const declarationsIn = (node) =>
  node.declarations
    ? node.declarations.map((one) => [one.id.name, one.init ?? node])
    : node.id
      ? [[node.id.name, node]]
      : []

/** `fileOf` turns a relative specifier, already joined to the folder of its module, into the file that it names. */
export const createModules = (fileOf = (path) => path) => {
  const modules = new Map()

  /** `declared`: by name, a list of `{statement, node}`; overloads and merged declarations have several. */
  const read = (path) => {
    const known = modules.get(path)
    if (known) return known
    const text = readFileSync(path, 'utf8')
    const { program, comments } = parseSync(path, text)
    const module = {
      ...{ path, text, comments, program },
      ...{ declared: new Map(), imported: new Map(), exported: new Map(), stars: [] },
    }
    modules.set(path, module)
    const target = (source) => (source.startsWith('.') ? fileOf(join(dirname(path), source)) : undefined)
    const declare = (node, statement) => {
      const found = declarationsIn(node)
      for (const [name, value] of found) {
        module.declared.set(name, [...(module.declared.get(name) ?? []), { statement, node: value }])
      }
      return found.map(([name]) => name)
    }
    for (const node of program.body) {
      if (node.type === 'ImportDeclaration') {
        for (const { local, imported } of node.specifiers) {
          const from = target(node.source.value)
          module.imported.set(local.name, { name: imported?.name ?? 'default', from })
        }
      } else if (node.type === 'ExportAllDeclaration') module.stars.push(target(node.source.value))
      else if (node.type === 'ExportNamedDeclaration' && node.declaration) {
        for (const name of declare(node.declaration, node)) module.exported.set(name, { name })
      } else if (node.type === 'ExportNamedDeclaration') {
        const from = node.source ? target(node.source.value) : undefined
        for (const { exported, local } of node.specifiers) {
          module.exported.set(exported.name, { name: local.name, from })
        }
      } else declare(node, node)
    }
    return module
  }

  /** Where a name that is used in a module is declared; undefined outside the package. */
  const find = (path, name) => {
    const module = read(path)
    const parts = module.declared.get(name)
    if (parts) return { module, name, parts }
    const imported = module.imported.get(name)
    return imported?.from ? findExport(imported.from, imported.name) : undefined
  }

  /** Where a name that a module exports is declared; undefined outside the package. */
  const findExport = (path, name) => {
    const module = read(path)
    const one = module.exported.get(name)
    if (one) return one.from ? findExport(one.from, one.name) : find(path, one.name)
    for (const star of module.stars) {
      const found = star && findExport(star, name)
      if (found) return found
    }
    return undefined
  }

  const exportsOf = (path) => {
    const { exported, stars } = read(path)
    return [...exported.keys(), ...stars.flatMap((star) => (star ? exportsOf(star) : []))]
  }

  return { find, findExport, exportsOf }
}
