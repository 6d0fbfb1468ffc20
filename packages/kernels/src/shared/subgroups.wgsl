enable subgroups;
// Subgroups run here in step by the kernels' own arithmetic, which the compiler cannot follow.
diagnostic(off, subgroup_uniformity);
