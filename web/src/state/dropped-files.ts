/** The files of a drop, those in folders as well. */
export async function droppedFiles({ items }: DataTransfer): Promise<File[]> {
  // All at once: the list is empty after the event. What is no file of the system has no entry.
  const dropped = [...items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  return (await Promise.all(dropped.map(filesOf))).flat();
}

async function filesOf(entry: FileSystemEntry | File | null): Promise<File[]> {
  if (!entry) return []; // text
  if (entry instanceof File) return [entry];
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    // By its path: a model's folder has folders inside. This copies no bytes.
    const { type, lastModified } = file;
    return [new File([file], entry.fullPath.slice(1), { type, lastModified })];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A part of the folder at a time, until there is no more.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return found;
    found.push(...(await Promise.all(some.map(filesOf))).flat());
  }
}
