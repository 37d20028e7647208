// All there is are types. This file is here so that an import that is not `import type` finds a module.
export {};
