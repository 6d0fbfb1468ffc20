/** Activations that can be fused into a matmul, numbered as in `activation.wgsl`. */
export const ACTIVATIONS = { none: 0, gelu: 1, gelu_tanh: 2, silu: 3, relu: 4, tanh: 5, sigmoid: 6 } as const;

export type Activation = keyof typeof ACTIVATIONS;
